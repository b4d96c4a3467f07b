// The studio's messages by language.
import type { Lang } from './locale.svelte';
import { en, type StudioWords } from './studio.en';
import { it } from './studio.it';

export const studio: Record<Lang, StudioWords> = { en, it };
