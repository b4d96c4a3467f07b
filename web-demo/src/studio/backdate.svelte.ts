// How far back a pin goes that is set to an earlier picture: what the host chose last is what
// Shift and a number key do. Remembered per device.
const KEY = 'vetrina.backdate';

/** Seconds to choose from; the server takes up to 30. */
export const BACK_SECONDS = [1, 3, 5, 10, 20] as const;
const SECONDS = 3;

function stored(): number {
  try {
    const seconds = Number(localStorage.getItem(KEY));
    return BACK_SECONDS.find((one) => one === seconds) ?? SECONDS;
  } catch {
    return SECONDS;
  }
}

class Backdate {
  seconds = $state(stored());

  choose(seconds: number): void {
    this.seconds = seconds;
    try {
      localStorage.setItem(KEY, String(seconds));
    } catch {
      // only forgotten at the next visit
    }
  }
}

export const backdate = new Backdate();
