// What both sides do in a step. peer.py holds the same numbers as options with no default: they are handed to it.

export const model = "smollm2-135m";

/** The adapter: on all linear layers, from PEFT's initialisation, the same A and B on both sides. */
export const adapter = { rank: 16, alpha: 32, seed: 1 } as const;

/** AdamW with a constant rate; gradients clipped by their global norm. */
export const training = { learningRate: 2e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 } as const;
