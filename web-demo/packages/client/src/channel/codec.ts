// Frames of the channel: an array of messages, as MessagePack or as JSON.
import { Decoder, Encoder } from '@msgpack/msgpack';
import {
  MESSAGES_PER_FRAME_MAX,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
  type ClientMessage,
  type ServerMessage,
} from '../generated/wire.ts';

/** Which of the two encodings; MessagePack is the smaller, JSON the readable one. */
export type Encoding = 'msgpack' | 'json';

/** A frame as it goes over the socket. */
export type Frame = string | Uint8Array<ArrayBuffer>;

/** The bytes were not an array of messages. */
export class MalformedFrame extends Error {
  override name = 'MalformedFrame';
}

export class Codec {
  readonly subprotocol: string;
  readonly #encoder = new Encoder({ ignoreUndefined: true });
  readonly #decoder = new Decoder();

  constructor(readonly encoding: Encoding) {
    this.subprotocol = encoding === 'msgpack' ? SUBPROTOCOL_MSGPACK : SUBPROTOCOL_JSON;
  }

  /** As many frames as the messages need. */
  encode(messages: readonly ClientMessage[]): Frame[] {
    const frames: Frame[] = [];
    for (let at = 0; at < messages.length; at += MESSAGES_PER_FRAME_MAX) {
      const part = messages.slice(at, at + MESSAGES_PER_FRAME_MAX);
      frames.push(this.encoding === 'json' ? JSON.stringify(part) : this.#encoder.encode(part));
    }
    return frames;
  }

  /** The messages of one frame. Types this client does not know pass through. */
  decode(data: unknown): ServerMessage[] {
    let messages: unknown;
    try {
      messages = this.encoding === 'json' ? this.#text(data) : this.#bytes(data);
    } catch (error) {
      throw new MalformedFrame('the frame is not an array of messages', { cause: error });
    }
    if (!Array.isArray(messages)) throw new MalformedFrame('the frame is not an array');
    return messages as ServerMessage[];
  }

  #text(data: unknown): unknown {
    if (typeof data !== 'string') throw new MalformedFrame('a binary frame on the JSON channel');
    return JSON.parse(data);
  }

  #bytes(data: unknown): unknown {
    if (data instanceof ArrayBuffer) return this.#decoder.decode(new Uint8Array(data));
    if (data instanceof Uint8Array) return this.#decoder.decode(data);
    throw new MalformedFrame('a text frame on the MessagePack channel');
  }
}
