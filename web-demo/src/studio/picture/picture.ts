// The test picture: a canvas with a running clock that stands in for a camera, and a tone that can
// be switched on. It knows nothing of shows and servers; whoever asked for it stops it.

import { CELL, COLUMNS, LEFT, TOP, encode } from './clock';

export const WIDTH = 540;
export const HEIGHT = 960;
export const FRAMES_PER_SECOND = 30;

/** Tone of the test picture, as broadcasters use it, and quiet. */
const TONE_HZ = 440;
const TONE_GAIN = 0.06;

const BARS = ['#c9c4b8', '#c2a83e', '#3f9aa3', '#4f9152', '#a8568c', '#b5483c', '#3d55a3'];
const FONT = 'ui-sans-serif, system-ui, sans-serif';

export interface TestPicture {
  readonly stream: MediaStream;
  /** Switches the tone; it is off at first. */
  tone(on: boolean): void;
  stop(): void;
}

/** Starts drawing. `label` is the line of text in the picture. */
export function startTestPicture(label: string): TestPicture {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('this browser cannot draw on a canvas');

  const backdrop = drawBackdrop(label);
  let animation = 0;
  let drawnAt = -Infinity;
  const draw = (now: number) => {
    animation = requestAnimationFrame(draw);
    // A screen of 60 or 144 Hz must not make 60 or 144 frames.
    if (now - drawnAt < 1000 / FRAMES_PER_SECOND - 4) return;
    drawnAt = now;
    drawFrame(context, backdrop, Date.now());
  };
  drawFrame(context, backdrop, Date.now());
  animation = requestAnimationFrame(draw);

  const audio = startTone();
  const stream = canvas.captureStream(FRAMES_PER_SECOND);
  for (const track of audio.stream.getAudioTracks()) stream.addTrack(track);
  return {
    stream,
    tone: audio.set,
    stop: () => {
      cancelAnimationFrame(animation);
      for (const track of stream.getTracks()) track.stop();
      audio.stop();
    },
  };
}

/** What does not change from frame to frame is drawn once. */
function drawBackdrop(label: string): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('this browser cannot draw on a canvas');
  const sky = context.createLinearGradient(0, 0, 0, HEIGHT);
  sky.addColorStop(0, '#23303f');
  sky.addColorStop(0.62, '#5b6f78');
  sky.addColorStop(1, '#d9c7a8');
  context.fillStyle = sky;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  const bar = WIDTH / BARS.length;
  BARS.forEach((colour, index) => {
    context.fillStyle = colour;
    context.fillRect(Math.floor(index * bar), HEIGHT * 0.66, Math.ceil(bar), HEIGHT * 0.08);
  });
  // The quiet zone around the blocks keeps them readable.
  const cell = CELL * WIDTH;
  context.fillStyle = '#000000';
  context.fillRect(0, TOP * WIDTH - cell / 2, WIDTH, 5 * cell);
  context.fillStyle = '#f4efe6';
  context.textAlign = 'center';
  context.font = `600 26px ${FONT}`;
  context.fillText(label, WIDTH / 2, HEIGHT * 0.31, WIDTH - 40);
  return canvas;
}

function drawFrame(context: CanvasRenderingContext2D, backdrop: HTMLCanvasElement, nowMs: number) {
  context.drawImage(backdrop, 0, 0);
  const cell = CELL * WIDTH;
  encode(nowMs).forEach((white, index) => {
    context.fillStyle = white ? '#ffffff' : '#000000';
    const x = LEFT * WIDTH + (index % COLUMNS) * cell;
    const y = TOP * WIDTH + Math.floor(index / COLUMNS) * cell;
    context.fillRect(x, y, cell, cell);
  });
  const clock = new Date(nowMs);
  const two = (value: number) => String(value).padStart(2, '0');
  const digits = `${two(clock.getHours())}:${two(clock.getMinutes())}:${two(clock.getSeconds())}`;
  context.fillStyle = '#ffffff';
  context.textAlign = 'center';
  context.font = `700 88px ${FONT}`;
  context.fillText(digits, WIDTH / 2, HEIGHT * 0.415);
  context.font = `600 44px ${FONT}`;
  context.fillText(
    `.${String(clock.getMilliseconds()).padStart(3, '0')}`,
    WIDTH / 2,
    HEIGHT * 0.47,
  );
  drawHand(context, nowMs);
}

/** One turn a second: a picture that stands still is seen at once. */
function drawHand(context: CanvasRenderingContext2D, nowMs: number) {
  const angle = ((nowMs % 1000) / 1000) * 2 * Math.PI - Math.PI / 2;
  const [x, y, radius] = [WIDTH / 2, HEIGHT * 0.565, 60];
  context.lineWidth = 8;
  context.strokeStyle = 'rgb(255 255 255 / 0.25)';
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  context.strokeStyle = '#ffffff';
  context.beginPath();
  context.arc(x, y, radius, angle - 0.6, angle);
  context.stroke();
}

function startTone(): { stream: MediaStream; set(on: boolean): void; stop(): void } {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: TONE_HZ });
  const gain = new GainNode(context, { gain: 0 });
  const out = context.createMediaStreamDestination();
  oscillator.connect(gain).connect(out);
  oscillator.start();
  void context.resume();
  return {
    stream: out.stream,
    set: (on) => {
      void context.resume();
      gain.gain.setTargetAtTime(on ? TONE_GAIN : 0, context.currentTime, 0.02);
    },
    stop: () => {
      oscillator.stop();
      void context.close();
    },
  };
}
