// Random numbers that PyTorch draws on the CPU, bit for bit: some adapters are stored as the seed that their matrices are drawn from.

const SIZE = 624;
const SHIFT = 397;

/** Words of 32 bits of MT19937 (Matsumoto & Nishimura 1998), seeded as PyTorch's generator is: by the lower half of its seed. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(SIZE);
  state[0] = seed % 2 ** 32;
  for (let i = 1; i < SIZE; i++) {
    const last = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, last) + i;
  }
  let next = SIZE;
  const twist = () => {
    for (let i = 0; i < SIZE; i++) {
      const joined = (state[i]! & 0x80000000) | (state[(i + 1) % SIZE]! & 0x7fffffff);
      state[i] = state[(i + SHIFT) % SIZE]! ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    next = 0;
  };
  return () => {
    if (next === SIZE) twist();
    let word = state[next++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

const MANTISSA = 2 ** 24;

/** A generator of PyTorch with this seed: each call fills a tensor as `uniform_(-bound, bound)` does one of float32. */
export function torchUniform(seed: number): (values: Float32Array, bound: number) => void {
  const word = mersenneTwister(seed);
  return (values, bound) => {
    const from = Math.fround(-bound);
    const width = Math.fround(Math.fround(bound) - from);
    for (let at = 0; at < values.length; at++) values[at] = ((word() % MANTISSA) / MANTISSA) * width + from;
  };
}
