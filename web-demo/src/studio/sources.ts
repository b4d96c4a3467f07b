// Where the picture comes from: camera, screen, a video file, or the test picture. Each gives a
// stream and a way to stop it; failures are values with a reason that the page can put in words.
import { startTestPicture } from './picture/picture';

export type SourceKind = 'camera' | 'screen' | 'file' | 'test';

export interface Source {
  readonly kind: SourceKind;
  readonly stream: MediaStream;
  readonly framesPerSecond: number;
  /** The test picture's tone; others have none. */
  readonly tone?: (on: boolean) => void;
  stop(): void;
}

/** Why there is no picture. */
export type SourceFailure =
  | 'not_allowed'
  | 'not_found'
  | 'in_use'
  | 'insecure'
  | 'unsupported'
  | 'unreadable_file'
  | 'failed';

export type Opened =
  | { readonly ok: true; readonly source: Source }
  | { readonly ok: false; readonly why: SourceFailure };

const FRAMES_PER_SECOND = 30;
const SOUND: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

/** `captureStream` of media elements is missing from the DOM types, and from some browsers. */
type Capturing = HTMLVideoElement & { captureStream?: () => MediaStream };

export function canPlayFiles(): boolean {
  return 'captureStream' in HTMLVideoElement.prototype;
}

export function canShareScreens(): boolean {
  return !!navigator.mediaDevices && 'getDisplayMedia' in navigator.mediaDevices;
}

export async function openCamera(device?: string): Promise<Opened> {
  const video: MediaTrackConstraints = {
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { ideal: FRAMES_PER_SECOND },
    ...(device ? { deviceId: { exact: device } } : {}),
  };
  return attempt(async (devices) => {
    // A camera without a microphone is better than none.
    const stream = await devices
      .getUserMedia({ video, audio: SOUND })
      .catch((error: unknown) => {
        if (reasonOf(error) === 'not_allowed') throw error;
        return devices.getUserMedia({ video });
      });
    return { kind: 'camera', stream, framesPerSecond: FRAMES_PER_SECOND, stop: () => end(stream) };
  });
}

/** The screen's own sound where the browser gives it, else the microphone if it may be used. */
export async function openScreen(): Promise<Opened> {
  return attempt(async (devices) => {
    const stream = await devices.getDisplayMedia({
      video: { frameRate: FRAMES_PER_SECOND },
      audio: true,
    });
    if (stream.getAudioTracks().length === 0) {
      const voice = await devices.getUserMedia({ audio: SOUND }).catch(() => undefined);
      for (const track of voice?.getAudioTracks() ?? []) stream.addTrack(track);
    }
    return { kind: 'screen', stream, framesPerSecond: FRAMES_PER_SECOND, stop: () => end(stream) };
  });
}

/** Plays a file in a loop, without sound here: its sound goes to the viewers. */
export async function openFile(file: File): Promise<Opened> {
  const video: Capturing = document.createElement('video');
  const url = URL.createObjectURL(file);
  video.src = url;
  video.loop = true;
  video.playsInline = true;
  if (!video.captureStream) {
    URL.revokeObjectURL(url);
    return { ok: false, why: 'unsupported' };
  }
  const sound = new AudioContext();
  const out = sound.createMediaStreamDestination();
  sound.createMediaElementSource(video).connect(out);
  const stop = () => {
    video.pause();
    video.removeAttribute('src');
    video.load();
    URL.revokeObjectURL(url);
    void sound.close();
  };
  try {
    await sound.resume();
    await video.play();
  } catch {
    stop();
    return { ok: false, why: 'unreadable_file' };
  }
  const tracks = [...video.captureStream().getVideoTracks(), ...out.stream.getAudioTracks()];
  const stream = new MediaStream(tracks);
  return {
    ok: true,
    source: {
      kind: 'file',
      stream,
      framesPerSecond: FRAMES_PER_SECOND,
      stop: () => {
        end(stream);
        stop();
      },
    },
  };
}

export function openTestPicture(label: string): Opened {
  try {
    const picture = startTestPicture(label);
    const { stream, tone, stop } = picture;
    return {
      ok: true,
      source: { kind: 'test', stream, framesPerSecond: FRAMES_PER_SECOND, tone, stop },
    };
  } catch {
    return { ok: false, why: 'unsupported' };
  }
}

/** Cameras with their names; the browser tells them only once one was allowed. */
export async function cameras(): Promise<MediaDeviceInfo[]> {
  const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []);
  return (devices ?? []).filter(({ kind, deviceId }) => kind === 'videoinput' && deviceId !== '');
}

async function attempt(open: (devices: MediaDevices) => Promise<Source>): Promise<Opened> {
  if (!window.isSecureContext) return { ok: false, why: 'insecure' };
  if (!navigator.mediaDevices) return { ok: false, why: 'unsupported' };
  try {
    return { ok: true, source: await open(navigator.mediaDevices) };
  } catch (error) {
    return { ok: false, why: reasonOf(error) };
  }
}

function reasonOf(error: unknown): SourceFailure {
  switch (error instanceof DOMException ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'not_allowed';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'not_found';
    case 'NotReadableError':
    case 'AbortError':
      return 'in_use';
    default:
      return 'failed';
  }
}

function end(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
