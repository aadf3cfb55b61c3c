import { readFileSync } from "node:fs";
import { Command as Commander } from "commander";
import type { Workflows } from "../workflows/api.js";
import { type Command, commands, refusal, reserved, type Services } from "./commands.js";
import { exitCodes, reportFailure } from "./failure.js";
import { type Interrupts, listenForInterrupts } from "./interrupts.js";
import type { Io } from "./io.js";
import { addFlags, givenFlags } from "./options-to-flags.js";

/** Runs one command line (without the program's name) and returns its exit code; nothing is thrown. */
export async function run(argv: readonly string[], io: Io, workflows: Workflows): Promise<number> {
  let interrupts: Interrupts | undefined;
  let code: number = exitCodes.done;
  const services: Services = {
    io,
    workflows,
    interrupts(screen) {
      interrupts = listenForInterrupts(io, screen.warn);
      return interrupts;
    },
  };
  // A reader that goes away (`| head`) is no reason to lose a training run: it stops like at a Ctrl-C, and saves.
  const brokenPipe = (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") interrupts?.stop("standard output was closed");
    else code = exitCodes.failed;
  };
  const ignored = () => undefined; // without a reader for messages there is nobody to tell
  io.stdout.on("error", brokenPipe);
  io.stderr.on("error", ignored);
  try {
    const program = buildProgram(io, services, (result) => {
      code = result;
    });
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    code = reportFailure(error, io, interrupts?.signal.aborted ?? false);
  } finally {
    io.stdout.off("error", brokenPipe);
    io.stderr.off("error", ignored);
  }
  return code;
}

function buildProgram(io: Io, services: Services, finish: (code: number) => void): Commander {
  const program = new Commander("lorikeet")
    .description("LoRA fine-tuning of language models: train an adapter on your own machine, and see what it learned.")
    .version(version(), "--version", "Print the version.")
    .helpOption("-h, --help", "Print this help.")
    .helpCommand("help [command]", "Print the help of a command.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns || 100,
      getErrHelpWidth: () => io.stderr.columns || 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map((each) => each.name())].join(" ") })
    .addHelpText("after", "\nBegin with `lorikeet demo`. `lorikeet COMMAND --help` explains every option of a command.");
  for (const each of commands) addCommand(program, each, services, finish);
  for (const name of Object.keys(reserved)) addReserved(program, name);
  // Whatever names no command arrives here, its options with it.
  program
    .usage("COMMAND [options]")
    .argument("[command...]")
    .allowUnknownOption()
    .action(([name]: readonly string[]) => {
      throw refusal(name ?? "");
    });
  return program;
}

function addCommand(
  program: Commander,
  { name, summary, shape, run: body }: Command,
  services: Services,
  finish: (code: number) => void,
): void {
  const command = program.command(name).description(summary).helpOption("-h, --help", "Print this help.");
  addFlags(command, shape);
  command.action(async () => finish(await body(givenFlags(command, shape), services)));
}

function addReserved(program: Commander, name: string): void {
  program
    .command(name, { hidden: true })
    .helpOption(false)
    .argument("[anything...]")
    .allowUnknownOption()
    .action(() => {
      throw refusal(name);
    });
}

function version(): string {
  const { version: found }: { version: string } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return found;
}
