// The reader's language: from the browser (what it also sends as Accept-Language) until chosen.
// Each page has its own message file per language; `it` must have the shape of `en`.

export type Lang = 'en' | 'it';
export const LANGS: readonly Lang[] = ['en', 'it'];
/** A language in its own words, for the switch. */
export const LANG_NAMES: Record<Lang, string> = { en: 'English', it: 'Italiano' };

const KEY = 'vetrina.lang';

/** The first of the browser's languages that we speak; English when none is. */
export function preferred(languages: readonly string[]): Lang {
  for (const tag of languages) {
    const lang = LANGS.find((known) => tag.toLowerCase().startsWith(known));
    if (lang) return lang;
  }
  return 'en';
}

function stored(): Lang | undefined {
  try {
    return LANGS.find((lang) => lang === localStorage.getItem(KEY));
  } catch {
    return undefined; // storage is closed to us: the browser's language it is
  }
}

class Locale {
  /** The language of every message. */
  lang: Lang = $state(stored() ?? preferred(navigator.languages));
  /** The BCP 47 tag for `Intl`: the browser's own regional one where it fits, such as en-GB. */
  tag: string = $derived(navigator.languages.find((tag) => tag.startsWith(this.lang)) ?? this.lang);

  constructor() {
    document.documentElement.lang = this.lang;
  }

  choose(lang: Lang): void {
    this.lang = lang;
    document.documentElement.lang = lang;
    try {
      localStorage.setItem(KEY, lang);
    } catch {
      // not remembered for the next visit, which is all that is lost
    }
  }
}

/** The one locale of the page. */
export const locale = new Locale();
