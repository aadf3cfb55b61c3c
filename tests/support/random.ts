import { mix } from "../../src/training/kernels/uniform-table.js";

/** Numbers of a test: a seeded stream of its own, the same in Node and in a browser. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = mix(seed + 1);
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    this.#state = mix(this.#state + 0x9e3779b9);
    return this.#state / 2 ** 32;
  }

  /** A whole number from 0 to `below` − 1. */
  below(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** Standard normal: the Box–Muller transform. */
  gaussian(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  gaussians(count: number, deviation = 1, mean = 0): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: count }, () => mean + deviation * this.gaussian());
  }
}
