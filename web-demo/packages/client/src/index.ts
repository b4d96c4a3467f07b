// @vetrina/client: everything a page needs to talk to a Vetrina server, and nothing that draws.
//
//   const tokens = new Tokens({ origin, request: () => ({ grant: 'guest', show }) });
//   const channel = new Channel({ origin, show, tokens });
//   channel.view.subscribe((view) => ...);
//   channel.open();
//   const answer = await channel.command({ type: 'Reserve', listing, quantity: 1 });
//   if (!answer.ok) say(answer.refusal.code);
//
// `whep` plays the video, `whip` publishes it, `FrameClock` runs things when a frame is on screen,
// `Rest` is everything else. State is `Readable`: a value and `subscribe`, as Svelte stores have
// it.
export * from './generated/wire.ts';
export { backoffMs, newKey, type Runtime } from './clock.ts';
export { Emitter, Observable, type Readable } from './observable.ts';
export {
  Channel,
  type ChannelEvents,
  type ChannelOptions,
  type Connection,
  type Me,
  type Socket,
} from './channel/channel.ts';
export { Codec, MalformedFrame, type Encoding } from './channel/codec.ts';
export { type Answer, type Command, type Refusal } from './channel/commands.ts';
export { type Gone, type View } from './channel/fold.ts';
export {
  FrameClock,
  NO_VIDEO_MS,
  reached,
  unwrap,
  type FrameClockOptions,
} from './video/frame_clock.ts';
export { TICKS_PER_MS, Timeline } from './video/timeline.ts';
export { type VideoState } from './video/keeper.ts';
export { whep, WhepPlayer, type WhepOptions } from './video/whep.ts';
export { whip, WhipPublisher, type UplinkHealth, type WhipOptions } from './video/whip.ts';
export { NoAnswerError, ProblemError } from './rest/problem.ts';
export { Rest, type RequestOptions, type RestOptions } from './rest/rest.ts';
export { NoTokenError, Tokens, type TokenSource, type TokensOptions } from './rest/tokens.ts';
