import { InputError } from "../errors.js";
import type { Workflows } from "../workflows/api.js";
import { readOptionsFile } from "../workflows/node/options-file.js";
import { type CommandOptions, commandOptions } from "../workflows/options/command-line.js";
import { inFile, onCommandLine } from "../workflows/options.js";
import { checkOptions, flagName, type Shape, suggestion } from "../workflows/parse-options.js";
import type { CommandBody } from "./context.js";
import type { Interrupts } from "./interrupts.js";
import type { Io } from "./io.js";
import { besideTheFirst } from "./repeated-run.js";
import { createScreen, type Screen, type ScreenOptions } from "./screen.js";

/** A command as the command line knows it; its code is loaded when it runs, so that help stays fast. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly shape: Shape;
  run(given: Readonly<Record<string, unknown>>, services: Services): Promise<number>;
}

export interface Services {
  readonly io: Io;
  readonly workflows: Workflows;
  /** Begins to listen for Ctrl-C. */
  interrupts(screen: Screen): Interrupts;
}

function command<S extends Shape, Written, X extends Shape>(
  { set, extra }: CommandOptions<S, Written, X>,
  load: () => Promise<{ readonly body: CommandBody<Written> }>,
): Command {
  return {
    name: set.name,
    summary: set.summary,
    shape: { ...set.shape, ...extra },
    async run(given, services) {
      const { own, record, source } = splitRecord(given, set.shape, extra);
      const options = checkOptions(set, record, source);
      const screen = createScreen(services.io, own);
      const interrupts = services.interrupts(screen);
      try {
        const { body } = await load();
        return await body(options, { ...services, screen, interrupts });
      } finally {
        screen.endLive();
        interrupts.close();
      }
    },
  };
}

/** Separates the terminal's options from the workflow's, and lays the flags over the file that --config names. */
function splitRecord(given: Readonly<Record<string, unknown>>, shape: Shape, extra: Shape) {
  const of = (names: Shape) => Object.fromEntries(Object.entries(given).filter(([name]) => name in names));
  const own: ScreenOptions & { readonly config?: string } = of(extra);
  const flags = of(shape);
  if (own.config === undefined) return { own, record: flags, source: onCommandLine };
  const file = besideTheFirst(own.config, readOptionsFile(own.config), flags);
  const misplaced = Object.keys(file).filter((name) => name in extra);
  if (misplaced.length > 0) {
    throw new InputError(`${own.config}: ${misplaced.join(", ")}: belongs on the command line (${misplaced.map(flagName).join(", ")})`);
  }
  const named = inFile(own.config);
  return {
    own,
    record: { ...withoutRivals(file, flags), ...flags },
    source: (name: string, info?: Parameters<typeof onCommandLine>[1]) =>
      name in file && !(name in flags) ? named(name) : onCommandLine(name, info),
  };
}

/** A flag wins over its rivals in the file: --steps over the file's epochs, --optimizer sgd over the numbers of adamw. */
function withoutRivals(file: Readonly<Record<string, unknown>>, flags: Readonly<Record<string, unknown>>) {
  const durations = ["epochs", "steps", "minutes"];
  const replaced = durations.some((name) => name in flags) ? durations : [];
  if (flags.optimizer !== undefined) replaced.push(flags.optimizer === "sgd" ? "betas" : "momentum");
  return Object.fromEntries(Object.entries(file).filter(([name]) => !replaced.includes(name)));
}

/** Every command, in the order of help. To add one is to add a file and a line here. */
export const commands: readonly Command[] = [
  command(commandOptions.demo, () => import("./commands/demo.js")),
  command(commandOptions.doctor, () => import("./commands/doctor.js")),
  command(commandOptions.pull, () => import("./commands/pull.js")),
  command(commandOptions.data, () => import("./commands/data.js")),
  command(commandOptions.plan, () => import("./commands/plan.js")),
  command(commandOptions.train, () => import("./commands/train.js")),
  command(commandOptions.generate, () => import("./commands/generate.js")),
  command(commandOptions.chat, () => import("./commands/chat.js")),
  command(commandOptions.classify, () => import("./commands/classify.js")),
  command(commandOptions.eval, () => import("./commands/eval.js")),
  command(commandOptions.embed, () => import("./commands/embed.js")),
  command(commandOptions.inspect, () => import("./commands/inspect.js")),
  command(commandOptions.rank, () => import("./commands/rank.js")),
  command(commandOptions.combine, () => import("./commands/combine.js")),
  command(commandOptions.resize, () => import("./commands/resize.js")),
  command(commandOptions.convert, () => import("./commands/convert.js")),
  command(commandOptions.extract, () => import("./commands/extract.js")),
  command(commandOptions.merge, () => import("./commands/merge.js")),
  command(commandOptions.unmerge, () => import("./commands/unmerge.js")),
  command(commandOptions.export, () => import("./commands/export.js")),
  command(commandOptions.eject, () => import("./commands/eject.js")),
  command(commandOptions.import, () => import("./commands/import.js")),
  command(commandOptions.push, () => import("./commands/push.js")),
  command(commandOptions.cache, () => import("./commands/cache.js")),
];

/** Commands that are promised for later; their names are kept free, and using one says so. */
export const reserved: Readonly<Record<string, string>> = {
  serve: "to answer over HTTP",
  studio: "to train in a web page",
};

/** The refusal of a reserved or unknown command. */
export function refusal(name: string): InputError {
  const known = commands.map((each) => each.name);
  if (name.startsWith("-")) return new InputError(`there is no option ${name} before a command; \`lorikeet --help\` lists the commands`);
  const purpose = Object.hasOwn(reserved, name) ? reserved[name] : undefined;
  return purpose === undefined
    ? new InputError(`there is no command "${name}"${suggestion(name, known)}`)
    : new InputError(`"${name}" (${purpose}) comes with a later version of Lorikeet; there are ${known.join(", ")}`);
}
