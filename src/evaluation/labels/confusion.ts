/** How often each class was taken for each: row the right class, column the predicted one. */
export type ConfusionMatrix = readonly (readonly number[])[];

export interface ClassScores {
  readonly accuracy: number;
  /** Mean of the classes' F1; a class that occurs neither among the right nor among the predicted ones is left out. */
  readonly macroF1: number;
  /** F1 of all decisions together, which for one label an example is the accuracy. */
  readonly microF1: number;
  /** F1 of class 1, where there are two classes. */
  readonly binaryF1?: number;
  readonly matthews: number;
}

/** @param expected, predicted numbers of classes, as many of one as of the other */
export function confusionMatrix(expected: ArrayLike<number>, predicted: ArrayLike<number>, classes: number): ConfusionMatrix {
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < expected.length; i++) {
    const row = matrix[expected[i] ?? -1];
    const column = predicted[i] ?? -1;
    if (row?.[column] === undefined) throw new RangeError(`example ${i}: there is no class ${expected[i]} or ${predicted[i]}`);
    row[column]++;
  }
  return matrix;
}

/** The scores of predictions, all as scikit-learn 1.9 defines them with its defaults; a share of nothing is 0. */
export function classScores(matrix: ConfusionMatrix): ClassScores {
  const rights = matrix.map((row, k) => row[k] ?? 0);
  const expected = matrix.map(sum);
  const predicted = matrix.map((_, k) => sum(matrix.map((row) => row[k] ?? 0)));
  const accuracy = share(sum(rights), sum(expected));
  // F1 = 2·TP / (2·TP + FP + FN): van Rijsbergen 1979, "Information Retrieval", chapter 7.
  const f1 = rights.map((right, k) => share(2 * right, (expected[k] ?? 0) + (predicted[k] ?? 0)));
  const present = f1.filter((_, k) => (expected[k] ?? 0) + (predicted[k] ?? 0) > 0);
  return {
    accuracy,
    macroF1: share(sum(present), present.length),
    microF1: accuracy,
    ...(matrix.length === 2 ? { binaryF1: f1[1] ?? 0 } : {}),
    matthews: matthews(sum(rights), expected, predicted),
  };
}

/** The correlation of predictions with the truth over several classes (Gorodkin 2004, eq. 8); 0 where one side is all one class. */
function matthews(right: number, expected: readonly number[], predicted: readonly number[]): number {
  const total = sum(expected);
  const dot = (a: readonly number[], b: readonly number[]) => sum(a.map((value, k) => value * (b[k] ?? 0)));
  const covariance = right * total - dot(expected, predicted);
  const variances = (total ** 2 - dot(predicted, predicted)) * (total ** 2 - dot(expected, expected));
  return variances === 0 ? 0 : covariance / Math.sqrt(variances);
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
