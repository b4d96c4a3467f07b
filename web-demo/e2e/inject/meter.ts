// Runs inside a viewer's page, beside it and without touching it: reads the clock out of every
// frame that is shown, and notes which frame is on screen when a pin is heard and when its card is
// painted.
import { READ_HEIGHT, read } from '../../src/studio/picture/clock.ts';

export interface SeenFrame {
  /** RTP timestamp, as the browser tells it. */
  readonly rtp: number | undefined;
  /** The moment drawn in the picture, ms since 1970; nothing when there is no clock in it. */
  readonly drawn: number | undefined;
  /** When it was on screen, ms since 1970. */
  readonly shown: number;
}

export interface SeenPin {
  readonly listing: string;
  readonly mediaTime: number | undefined;
  /** Clock in the frame on screen when the page heard of the pin. */
  readonly drawnWhenHeard: number | undefined;
  /** Clock in the frame on screen when the card was first painted. */
  drawnWhenPainted?: number | undefined;
  painted: boolean;
}

/** The browser's own, also where a test hides something of it from the page. */
const nextFrame = HTMLVideoElement.prototype.requestVideoFrameCallback;

const FRAMES_MAX = 20_000;
const READ_WIDTH = 270;

class Meter {
  readonly frames: SeenFrame[] = [];
  readonly pins: SeenPin[] = [];
  readonly #context: CanvasRenderingContext2D;
  #video: HTMLVideoElement | undefined;
  #card: Element | null = null;

  constructor() {
    const canvas = document.createElement('canvas');
    canvas.width = READ_WIDTH;
    canvas.height = Math.ceil(READ_WIDTH * READ_HEIGHT);
    const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
    if (!context) throw new Error('no canvas to read frames with');
    this.#context = context;
    document.addEventListener('vetrina:pin-heard', (event) => this.#heard(event as CustomEvent));
    const observer = new MutationObserver(() => this.#changed());
    observer.observe(document, { subtree: true, childList: true });
  }

  /** Clock in the frame on screen now. */
  now(): number | undefined {
    const video = this.#video;
    if (!video || video.videoWidth === 0) return undefined;
    const width = video.videoWidth;
    const height = Math.min(video.videoHeight, width * READ_HEIGHT);
    const { canvas } = this.#context;
    const scaled = (height / width) * READ_WIDTH;
    this.#context.drawImage(video, 0, 0, width, height, 0, 0, READ_WIDTH, scaled);
    const { data } = this.#context.getImageData(0, 0, READ_WIDTH, canvas.height);
    return read(data, READ_WIDTH);
  }

  #changed(): void {
    const video = document.querySelector('video');
    if (video && video !== this.#video) {
      this.#video = video;
      this.#follow(video);
    }
    const card = document.querySelector('article[data-card][data-listing]');
    if (card === this.#card) return;
    this.#card = card;
    if (card) requestAnimationFrame(() => this.#painting(card));
  }

  #follow(video: HTMLVideoElement): void {
    nextFrame.call(video, (_now, frame) => {
      if (video !== this.#video) return;
      const shown = Date.now() + frame.expectedDisplayTime - performance.now();
      this.frames.push({ rtp: frame.rtpTimestamp, drawn: this.now(), shown });
      if (this.frames.length > FRAMES_MAX) this.frames.shift();
      this.#follow(video);
    });
  }

  #heard(event: CustomEvent<{ listing: string; media_time?: number }>): void {
    const { listing, media_time: mediaTime } = event.detail;
    this.pins.push({ listing, mediaTime, drawnWhenHeard: this.now(), painted: false });
  }

  /** The last moment before the paint that shows the card. */
  #painting(card: Element): void {
    const listing = card.getAttribute('data-listing');
    const pin = this.pins.findLast((one) => one.listing === listing && !one.painted);
    if (!pin) return;
    pin.painted = true;
    pin.drawnWhenPainted = this.now();
  }
}

(globalThis as unknown as { meter: Meter }).meter = new Meter();

/** The peer connections of the page, newest last, so that their statistics can be read. */
const peers: RTCPeerConnection[] = [];
const Native = globalThis.RTCPeerConnection;
globalThis.RTCPeerConnection = class extends Native {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    peers.push(this);
  }
};
(globalThis as unknown as { peers: RTCPeerConnection[] }).peers = peers;
