// The watch page's messages by language: `const t = $derived(watchWords[locale.lang])`.
import type { Lang } from './locale.svelte';
import { en, type WatchWords } from './watch.en';
import { it } from './watch.it';

export const watchWords: Record<Lang, WatchWords> = { en, it };
