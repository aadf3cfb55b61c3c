import { adapterFromVectors, configOf } from "../../../../lora/adapter.js";
import { writeAdapterFolder } from "../../../../lora/node/adapter-folder.js";
import { shapingOf } from "../../../../lora/shaping.js";
import { type AdapterSpec, layOutAdapter } from "../../../../lora/spec.js";
import { adaptableGroups } from "../../../../lora/tables.js";
import { startedFromData } from "../data-start.js";
import { withOwnBase } from "../own-base.js";
import type { RunProduct } from "../run-task.js";

/** An adapter beside the model: the best under `adapter`, that of the last update under `last`. */
export function adapterProduct(spec: AdapterSpec): RunProduct {
  const product: RunProduct = {
    kind: "adapter",
    layout: (model, head) => layOutAdapter(model, spec, head),
    shaping: (layout) => shapingOf(layout, spec.settings),
    ownBase: (described, { settings, layout, task }, options) => {
      const config = product.config(layout, described.model, described.name, task.config);
      return withOwnBase(described, { settings, spec, layout, config }, options);
    },
    async lookAtData(look, saved, options) {
      const found = await startedFromData(spec, look, saved, options);
      return found && { ...found, product: adapterProduct(found.product) };
    },
    config: (layout, model, modelName, task) =>
      configOf(spec, layout, [...adaptableGroups(model).flat(), ...(model.otherLayers ?? [])], modelName, task),
    place: ({ adapter }) => adapter,
    async keep({ prepared: { config, layout, task }, folder, state: { trainables, best }, frozen }) {
      const { labelling, saved = (adapter) => adapter } = task;
      const adapterOf = (values: Float32Array) => saved(adapterFromVectors(config, layout, { trainables: values, frozen }, labelling));
      await writeAdapterFolder(folder.adapter, adapterOf(best ?? trainables));
      await writeAdapterFolder(folder.last, adapterOf(trainables));
    },
    finish: async () => {},
  };
  return product;
}
