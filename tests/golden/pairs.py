"""Makes the golden of training with pairs (tests/models/pairs.test.ts, tests/evaluation/pair-ranking.test.ts): the bare BERT of
encoders.py with the adapter that PEFT trained beside it.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 sentence-transformers==6.2.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/pairs.py

writes tests/golden/bert-pairs/. The loss is MultipleNegativesRankingLoss of sentence-transformers with its defaults, of means over the
tokens; what a ranking is worth, its InformationRetrievalEvaluator says.
"""

import torch
import transformers
from peft import PeftModel
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

import encoders
from make import HERE, VOCABULARY, adapter_state, write_golden

NAME = "bert-pairs"


def make_batch(seed, anchors, positives):
    generator = torch.Generator().manual_seed(seed)
    texts = lambda lengths: [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]
    return {"anchors": texts(anchors), "positives": texts(positives)}


BATCHES = [make_batch(601, [16, 5, 11], [9, 21, 4]), make_batch(602, [7, 12], [13, 8])]


class Pairs:
    measure = MultipleNegativesRankingLoss(None)

    def vectors(self, model, texts):
        length = max(map(len, texts))
        ids = torch.tensor([text + [0] * (length - len(text)) for text in texts])
        real = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in texts])
        states = model(input_ids=ids, attention_mask=real).last_hidden_state
        mask = real.unsqueeze(-1)
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))

    def loss(self, model, batch, reduction="mean"):
        vectors = [self.vectors(model, batch[key]) for key in ("anchors", "positives")]
        mean = self.measure.compute_loss_from_embeddings(vectors, None)
        return mean if reduction == "mean" else mean * len(batch["anchors"])


@torch.no_grad()
def repeated(task, model):
    """A batch in which an anchor has two positives, and two anchors have one: none of these is a wrong one."""
    a, b, c, d = BATCHES[0]["anchors"] + BATCHES[1]["anchors"][:1]
    p, q, r = BATCHES[0]["positives"]
    batch = {"anchors": [a, a, b, c, d], "positives": [p, q, q, r, r]}
    apart = torch.zeros(5, 5, dtype=torch.bool)
    for row, column in [(0, 1), (1, 0), (0, 2), (1, 2), (2, 1), (3, 4), (4, 3)]:
        apart[row, column] = True
    vectors = [task.vectors(model, batch[key]) for key in ("anchors", "positives")]
    scores = (20 * vectors[0] @ vectors[1].T).masked_fill(apart, -torch.inf)
    return {**batch, "sum": torch.nn.functional.cross_entropy(scores, torch.arange(5), reduction="sum").item()}


def ranking():
    """Vectors of pairs, in which anchors and positives recur, and what sentence-transformers makes of them."""
    generator = torch.Generator().manual_seed(603)
    anchors = torch.nn.functional.normalize(torch.randn(7, 3, generator=generator))
    positives = torch.nn.functional.normalize(torch.randn(6, 3, generator=generator))
    pairs = [(0, 0), (1, 1), (2, 2), (2, 3), (3, 4), (4, 4), (5, 5), (6, 0), (6, 1)]
    names = lambda letter, rows: {f"{letter}{row}": "" for row in range(rows)}
    relevant = {f"a{row}": {f"p{other}" for one, other in pairs if one == row} for row in range(7)}
    evaluator = InformationRetrievalEvaluator(names("a", 7), names("p", 6), relevant, accuracy_at_k=[1], mrr_at_k=[6])
    scores = (anchors @ positives.T).tolist()
    found = evaluator.compute_metrics([[{"corpus_id": f"p{at}", "score": score} for at, score in enumerate(row)] for row in scores])
    return {
        "anchors": anchors.tolist(),
        "positives": positives.tolist(),
        "pairs": pairs,
        "accuracy": found["accuracy@k"][1],
        "meanReciprocalRank": found["mrr@k"][6],
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    encoders.BATCHES = BATCHES
    base = transformers.AutoModel.from_pretrained(
        HERE / "bert", dtype=torch.float32, attn_implementation="eager", add_pooling_layer=False
    ).eval()
    model = PeftModel.from_pretrained(base, HERE / "bert" / "embedding-adapter", is_trainable=True).eval()
    task = Pairs()
    (HERE / NAME).mkdir(exist_ok=True)
    facts = {"batches": BATCHES, "repeated": repeated(task, model), "ranking": ranking()}
    loss = task.loss(model, BATCHES[0], "sum")
    loss.backward()
    tensors = {
        f"gradient/{encoders.file_name(key)}": weight.grad.clone() for key, weight in model.named_parameters() if weight.requires_grad
    }
    facts |= {"sum": loss.item(), "trajectory": {"options": encoders.ADAMW, **encoders.trajectory(task, model)}}
    for key, value in adapter_state(model).items():
        tensors[f"final/{key}"] = value
    write_golden(HERE / NAME, tensors, facts)
    print(loss.item(), facts["trajectory"]["loss"], facts["repeated"]["sum"], facts["ranking"]["accuracy"], sorted(tensors)[:3])
