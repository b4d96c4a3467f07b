// Whether single keys act (WCAG 2.1.4: one must be able to turn them off). Remembered per device.
const KEY = 'vetrina.shortcuts';

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

class Shortcuts {
  on = $state(stored());

  choose(on: boolean): void {
    this.on = on;
    try {
      localStorage.setItem(KEY, on ? 'on' : 'off');
    } catch {
      // only forgotten at the next visit
    }
  }
}

export const shortcuts = new Shortcuts();
