// Plurals by the rules of the language, so that message files only list the forms.

type Forms = { one: string; other: string };

/** Makes the plural function of one language: `plural(3, {one: '# left', other: '# left'})`. */
export function pluralOf(tag: string): (count: number, forms: Forms) => string {
  const rules = new Intl.PluralRules(tag);
  const digits = new Intl.NumberFormat(tag);
  return (count, forms) => {
    const form = rules.select(count) === 'one' ? forms.one : forms.other;
    return form.replace('#', digits.format(count));
  };
}
