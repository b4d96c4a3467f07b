// The ops page's messages by language.
import type { Lang } from './locale.svelte';
import { en, type OpsWords } from './ops.en';
import { it } from './ops.it';

export const ops: Record<Lang, OpsWords> = { en, it };
