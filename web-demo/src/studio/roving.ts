// Arrow keys through a list of focusable items (`data-item`), and one-key actions on the focused
// one. Knows lists and keys, not what is in them.

/** By key; `'gone'` says that the item goes away, so that its neighbour takes the focus. */
type Actions = Readonly<Record<string, (id: string) => 'gone' | 'stays'>>;

/** A `keydown` handler for the list. `enabled` says whether letters may act at all. */
export function roving(actions: Actions, enabled: () => boolean) {
  return (event: KeyboardEvent & { currentTarget: HTMLElement }): void => {
    const target = event.target;
    // Letters belong to whatever is typed into; buttons inside an item keep their own keys.
    if (!(target instanceof HTMLElement) || !target.dataset['item']) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-item]')];
    const at = items.indexOf(target);
    const to = destination(event.key, at, items.length);
    if (to !== undefined) {
      event.preventDefault();
      items[to]?.focus();
      return;
    }
    const action = actions[event.key.toLowerCase()];
    if (!action || !enabled()) return;
    event.preventDefault();
    event.stopPropagation();
    if (action(target.dataset['item']) === 'gone') (items[at + 1] ?? items[at - 1])?.focus();
  };
}

function destination(key: string, at: number, count: number): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return Math.min(count - 1, at + 1);
    case 'ArrowUp':
      return Math.max(0, at - 1);
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return undefined;
  }
}
