// Messages that every page uses, English. Plain, short, no exclamation marks.
export const en = {
  close: 'Close',
  cancel: 'Cancel',
  retry: 'Try again',
  loading: 'Loading',
  language: 'Language',
  theme: 'Appearance',
  themeSystem: 'As the device',
  themeLight: 'Light',
  themeDark: 'Dark',
  live: 'Live',
};

export type CommonWords = typeof en;
