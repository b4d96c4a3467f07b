// Light, dark, or as the device says. The choice is an attribute on <html>; tokens.css does the
// rest.
export type Theme = 'system' | 'light' | 'dark';
export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

const KEY = 'vetrina.theme';

function stored(): Theme {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? 'system';
  } catch {
    return 'system';
  }
}

class Appearance {
  theme: Theme = $state(stored());

  constructor() {
    this.apply();
  }

  choose(theme: Theme): void {
    this.theme = theme;
    this.apply();
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // only forgotten at the next visit
    }
  }

  private apply(): void {
    const root = document.documentElement;
    if (this.theme === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = this.theme;
  }
}

export const appearance = new Appearance();
