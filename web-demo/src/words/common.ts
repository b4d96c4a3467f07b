// The shared messages by language: `const t = $derived(common[locale.lang])`.
import { en, type CommonWords } from './common.en';
import { it } from './common.it';
import type { Lang } from './locale.svelte';

export const common: Record<Lang, CommonWords> = { en, it };
