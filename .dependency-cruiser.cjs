// The floors of ARCHITECTURE.md: a room imports from lower floors and from itself, never up, never in a circle.
const floors = [
  ["graph", "onnx", "files", "patterns"],
  ["ops", "weights", "text", "hub"],
  ["models", "runtime", "data"],
  ["lora"],
  ["training", "generation"],
  ["evaluation", "interchange"],
  ["workflows"],
  ["cli", "server"],
];

const rooms = floors.flatMap((names, floor) => names.map((name) => ({ name, floor })));

const floorRules = rooms.map(({ name, floor }) => {
  const lower = floors.slice(0, floor).flat();
  const allowed = [...lower, name].join("|");
  return {
    name: `floor-of-${name}`,
    severity: "error",
    comment: `src/${name} stands on floor ${floor}: it may import from itself and from lower floors only.`,
    from: { path: `^src/${name}/` },
    to: { path: "^src/", pathNot: `^src/((${allowed})/|errors\\.ts$)` },
  };
});

module.exports = {
  forbidden: [
    ...floorRules,
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "engine-in-runtime-alone",
      severity: "error",
      comment: "ONNX Runtime is imported in runtime/node and runtime/web alone.",
      from: { path: "^src/", pathNot: "^src/runtime/(node|web)/" },
      to: { path: "node_modules/onnxruntime" },
    },
    {
      name: "platform-at-the-edge",
      severity: "error",
      comment: "A portable file imports nothing of Node; only node/ folders, cli, server and the front door do.",
      from: { path: "^src/", pathNot: "(/node/|^src/(cli|server)/|^src/index\\.ts$)" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "node-rooms-from-the-edge",
      severity: "error",
      comment: "node/ folders are imported from node/ folders, cli, server and the front door.",
      from: { path: "^src/", pathNot: "(/node/|^src/(cli|server)/|^src/index\\.ts$)" },
      to: { path: "^src/.*/node/" },
    },
  ],
  options: { doNotFollow: { path: "node_modules" }, tsPreCompilationDeps: true, tsConfig: { fileName: "tsconfig.json" } },
};
