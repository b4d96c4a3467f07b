// Messages that every page uses, Italian.
import type { CommonWords } from './common.en';

export const it: CommonWords = {
  close: 'Chiudi',
  cancel: 'Annulla',
  retry: 'Riprova',
  loading: 'Caricamento',
  language: 'Lingua',
  theme: 'Aspetto',
  themeSystem: 'Come il dispositivo',
  themeLight: 'Chiaro',
  themeDark: 'Scuro',
  live: 'In diretta',
};
