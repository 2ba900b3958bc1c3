// Random numbers that a seed repeats.

export interface Random {
  /** A whole number from 0 to limit - 1. */
  below(limit: number): number;
  /** True in so many of 100 cases. */
  percent(chance: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
  /** One of the items, as often as its weight says. */
  weighted<Item>(items: readonly (readonly [weight: number, item: Item])[]): Item;
}

/** mulberry32 */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
  return {
    below,
    percent: (chance) => below(100) < chance,
    pick: (items) => items[below(items.length)] as (typeof items)[number],
    weighted(items) {
      let left = below(items.reduce((sum, [weight]) => sum + weight, 0));
      for (const [weight, item] of items) {
        left -= weight;
        if (left < 0) return item;
      }
      throw new Error("There is nothing to choose from.");
    },
  };
}
