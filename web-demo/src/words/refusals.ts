// One sentence for a refusal: `refusalText(answer.refusal, locale.lang)`.
import type { Refusal } from '@vetrina/client';
import type { Lang } from './locale.svelte';
import { refusals as en } from './refusals.en';
import { refusals as it } from './refusals.it';

const byLang: Record<Lang, Record<Refusal['code'], string>> = { en, it };

/** In the reader's language; of a code newer than this page, the server's own words. */
export function refusalText(refusal: Pick<Refusal, 'code' | 'message'>, lang: Lang): string {
  return byLang[lang][refusal.code] ?? refusal.message;
}
