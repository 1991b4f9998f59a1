"""Random programs that train: modules, losses, optimizers and schedulers, with what people do
between steps.

Weights are not drawn but written by a formula, so that the program in double precision has the
same ones. Rprop, which looks at signs alone, makes all of a rounding, and is not among the
optimizers; those that divide by a gradient's size have a large `eps`, since many gradients are zero
but for roundings (of what a normalisation takes out). What is written behind autograd's back
(`p.data`) between a forward pass and its backward pass is seen by those derivatives that look at
it, which differ: it is written elsewhere. There are no checkpoints
(`torch.utils.checkpoint`): PyTorch computes twice there, and does not look at what was overwritten.
"""

from __future__ import annotations

import random

from .account import Var
from .generator import Generator
from .layers import Shape, activation, channelwise, convolution, dense, pooling, stack
from .program import Block, Line, Program, Statement
from .statements import numbers

RATES = ("0.01", "0.05", "0.1", "0.2")
OPTIMIZERS = (
    "SGD({p}, lr={r})",
    "SGD({p}, lr={r}, momentum=0.9)",
    "SGD({p}, lr={r}, momentum=0.8, nesterov=True, weight_decay=0.01)",
    "SGD({p}, lr={r}, momentum=0.5, dampening=0.1, maximize=True)",
    "Adam({p}, lr={r}, eps=1e-3)",
    "Adam({p}, lr={r}, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.01)",
    "Adam({p}, lr={r}, eps=1e-3, amsgrad=True)",
    "AdamW({p}, lr={r}, weight_decay=0.1, eps=1e-3)",
    "RMSprop({p}, lr={r}, alpha=0.9, eps=1e-3)",
    "RMSprop({p}, lr={r}, momentum=0.5, centered=True, eps=1e-3)",
    "Adagrad({p}, lr={r}, lr_decay=0.1, initial_accumulator_value=0.1)",
    "Adadelta({p}, lr=1.0, rho=0.8, eps=1e-3)",
    "Adamax({p}, lr={r}, eps=1e-3)",
    "NAdam({p}, lr={r}, eps=1e-3)",
    "RAdam({p}, lr={r}, eps=1e-3)",
    "ASGD({p}, lr={r}, t0=2)",
)
SCHEDULERS = (
    "StepLR({o}, 2, 0.5)",
    "MultiStepLR({o}, [2, 5], 0.3)",
    "ExponentialLR({o}, 0.9)",
    "LambdaLR({o}, lambda e: 0.8 ** e)",
    "CosineAnnealingLR({o}, 4)",
    "CosineAnnealingWarmRestarts({o}, 2, 2)",
    "LinearLR({o}, 0.3, total_iters=3)",
    "PolynomialLR({o}, 6, 2.0)",
    "OneCycleLR({o}, 0.1, total_steps=40)",
    "CyclicLR({o}, 0.01, 0.1, step_size_up=2, cycle_momentum=False)",
)
# Of numbers, for each of a batch; `{y}` has the shape of the output.
OF_NUMBERS = (
    "mse_loss({x}, {y})",
    "mse_loss({x}, {y})",
    "mse_loss({x}, {y}, reduction='sum') / 8",
    "l1_loss({x}, {y})",
    "smooth_l1_loss({x}, {y}, beta=0.5)",
    "huber_loss({x}, {y}, delta=0.7)",
    "binary_cross_entropy_with_logits({x}, {y}.sigmoid())",
    "binary_cross_entropy({x}.sigmoid(), {y}.sigmoid())",
    "soft_margin_loss({x}.tanh(), {y}.sign())",
    "poisson_nll_loss({x}.tanh(), {y}.abs())",
    "gaussian_nll_loss({x}, {y}, {x}.detach() ** 2 + 0.5)",
    "kl_div({x}.log_softmax(-1), {y}.softmax(-1), reduction='batchmean')",
    "hinge_embedding_loss({x}, {y}.sign())",
    "multilabel_soft_margin_loss({x}, ({y} > 0).float())",
)
# Of classes: `{y}` has one for each of a batch.
OF_CLASSES = (
    "cross_entropy({x}, {y})",
    "cross_entropy({x}, {y})",
    "cross_entropy({x}, {y}, label_smoothing=0.1)",
    "cross_entropy({x}, {y}, reduction='sum') * 0.1",
    "cross_entropy({x}, {y}, ignore_index=0, reduction='sum') * 0.2",
    "nll_loss({x}.log_softmax(1), {y})",
    "multi_margin_loss({x}, {y}, margin=0.7)",
)
# Between steps: `{m}` is a model, `{o}` its optimizer, `{x}` what it is given.
BETWEEN = (
    "{m}.eval()",
    "{m}.train()",
    "{m}.train(run != 1)",
    "{m}[0].requires_grad_({i} % 2 == 0)",
    "{m}[-1].requires_grad_(False)",
    "{m}.requires_grad_(True)",
    "{o}.param_groups[0]['lr'] *= 0.5",
    "{o}.param_groups[-1]['lr'] = 0.03 + 0.01 * {i}",
    "{m}.load_state_dict({m}.state_dict())",
    "{m}.load_state_dict({k: v * 0.9 if v.is_floating_point() else v "
    "for k, v in {m}.state_dict().items()})",
    "{o}.load_state_dict({o}.state_dict())",
    "{m} = __import__('copy').deepcopy({m})",
    "h1 = {m}[0].register_forward_hook(lambda m, a, y: y * 1.5)",
    "h1 = {m}[-1].register_forward_pre_hook(lambda m, a: (a[0] + 0.1,))",
    "h1 = {m}[-1].register_full_backward_hook(lambda m, gi, go: (gi[0] * 0.5,))",
    "h2 = next({m}.parameters()).register_hook(lambda g: g * 0.5)",
    "h1.remove()",
    "h2.remove()",
    "any(p.grad is not None for p in {m}.parameters()) and "
    "torch.nn.utils.clip_grad_value_({m}.parameters(), 0.05)",
    "[p.grad.mul_(0.5) for p in {m}.parameters() if p.grad is not None]",
    "{m}.zero_grad()",
    "{m}.apply(lambda m: m.reset_running_stats() if hasattr(m, 'running_mean') else None)",
    "next({m}.parameters()).grad = None",
    "{o}.step()",
    "(({m}({x}) ** 2).mean() * 0.1).backward()",
    "(sum((p ** 2).sum() for p in {m}.parameters()) * 0.01).backward()",
    "{m}[-1], {m}[0] = {m}[-1], {m}[0]",
    "((torch.autograd.grad({m}({x}).sum(), {x}, create_graph=True)[0] ** 2).mean() / 8).backward()",
    "((torch.autograd.grad({m}({x}).sum(), {x}, create_graph=True)[0] ** 2).mean() / 8).backward()",
    "h3 = torch.optim.swa_utils.AveragedModel({m})",
    "h3.update_parameters({m})",
    "getattr({m}[0], 'weight', None) is not None and "
    "__import__('importlib').import_module(torch.__name__ + '.nn.utils.prune')"
    ".l1_unstructured({m}[0], 'weight', 0.3)",
    "(lambda f: (torch.save([{m}.state_dict(), {o}.state_dict()], f), f.seek(0), "
    "[a.load_state_dict(b) for a, b in zip([{m}, {o}], torch.load(f))]))"
    "(__import__('io').BytesIO())",
    "[p.data.mul_(0.9).add_(q, alpha=0.1) for p, q in zip(h3.parameters(), {m}.parameters())]",
    "{o}.step(lambda: ({o}.zero_grad(), (c := ({m}({x}) ** 2).mean()), c.backward(), c)[-1])",
    "setattr(next(k for k in {m} if hasattr(k, 'bias')), 'bias', None)",
)
UNSEEN = (  # by autograd
    "torch.nn.utils.vector_to_parameters("
    "torch.nn.utils.parameters_to_vector({m}.parameters()) * 0.95, {m}.parameters())",
    "[p.data.clamp_(-0.4, 0.4) for p in {m}.parameters()]",
    "[p.data.mul_(0.9) for p in {m}.parameters() if p.dim() > 1]",
)
SEEN = (
    "{m}({x})",
    "{m}({x}).sum().item()",
    "[p.grad for p in {m}.parameters()]",
    "list({m}.parameters())",
    "list({m}.buffers())",
    "[g['lr'] for g in {o}.param_groups]",
    "torch.nn.utils.clip_grad_norm_({m}.parameters(), 0.5)",
    "sum(p.numel() for p in {m}.parameters() if p.requires_grad)",
    "torch.func.functional_call({m}, {k: v * 2 for k, v in {m}.named_parameters()}, ({x},))",
    "[g if g is None else g.contiguous() for g in "
    "torch.autograd.grad({m}({x}).sum(), list({m}.parameters()), allow_unused=True)]",
    "list(h3.parameters())",
    "h3({x})",
    "torch.autograd.grad({m}({x}).sum(), {x})[0].contiguous()",
    "[g.detach() for g in torch.func.grad(lambda p: torch.func.functional_call({m}, p, ({x},))"
    ".sum())({k: v.detach() for k, v in {m}.named_parameters()}).values()]",
)
WEIGHTS = (
    "[p.copy_((torch.arange(p.numel(), dtype=torch.float32).reshape(p.shape) * 1.7 + k).sin() "
    "* {data} * (2 / (1 + p[0].numel())) ** 0.5) for k, p in enumerate({m}.parameters())]"
)


def generate_training(seed: int) -> Program:
    """A program that trains one or two models."""
    return Program(Trainings(random.Random(f"training {seed}")).training(), seed)


class Trainings(Generator):
    """Writes models, and loops that train them."""

    def training(self) -> tuple[Statement, ...]:
        self.fresh = True  # a name stands for one thing
        self.models: list[str] = []
        self.batch = self.rng.choice([1, 2, 3, 4, 6])
        self.line(f"torch.manual_seed({self.rng.randrange(100)})")
        kinds = [self.of_features, self.of_features, self.of_images, self.of_images]
        self.rng.choice([*kinds, self.of_lines, self.of_sequences, self.of_tokens])()
        return tuple(self.out)

    def model(self, layers: list[str]) -> str:
        """A model of these layers, with weights."""
        name = self.name("m")
        self.line(f"{name} = torch.nn.Sequential({', '.join(layers)})")
        written = Line(WEIGHTS.replace("{m}", name), 0.9)
        self.out.append(Block("with torch.no_grad()", (written,)))
        if self.rng.random() < 0.06 and layers[0].startswith("torch.nn.Linear"):
            kind = self.rng.choice(["weight_norm", "spectral_norm"])
            self.line(f"torch.nn.utils.parametrizations.{kind}({name}[0])")
        self.models.append(name)
        return name

    def given(self, shape: Shape, target: bool = False) -> Var:
        """A batch; of inputs, some require a gradient."""
        grad = not target and self.rng.random() < 0.3
        var = Var(self.name(), (self.batch, *shape), "float32", grad)
        data = numbers(self.rng, var.shape, "float32")
        more = ", requires_grad=True" if grad else ""
        self.line(f"{var.name} = torch.tensor({{data}}, dtype=torch.float32{more})", data)
        self.keep(var)
        return var

    def given_numbers(self, shape: Shape, most: int) -> Var:
        """A batch of whole numbers, of classes or symbols."""
        var = Var(self.name(), (self.batch, *shape), "int64")
        size = var.size
        flat = [self.rng.randrange(most) for _ in range(size)]
        self.line(f"{var.name} = torch.tensor({flat}).reshape({var.shape})")
        return var

    # ---- kinds of models
    # -------------------------------------------------------------------------

    def of_features(self) -> None:
        rng = self.rng
        shape: Shape = (rng.choice([3, 4, 5, 8]),)
        x = self.given(shape)
        layers, shape = stack(rng, shape, rng.randint(2, 6), [dense, dense, activation])
        form = "{m}({x})"
        if rng.random() < 0.15 and shape[0] > 1:
            form = rng.choice(["{m}({x}) * 0.5 + {m}({x} * 0.5)", "{m}({x}) + {m}({x}).detach()"])
        elif rng.random() < 0.15:
            first = self.model([f"torch.nn.Linear({x.shape[1]}, {x.shape[1]})"])
            form = "{m}({x} + " + first + "({x}).relu())"
        self.trained(x, self.model(layers), form, shape)

    def of_images(self) -> None:
        shape: Shape = (self.rng.choice([1, 2, 3, 4]), *self.rng.choice([(6, 6), (8, 8), (7, 5)]))
        self.of_grids(shape)

    def of_lines(self) -> None:
        self.of_grids((self.rng.choice([1, 2, 4]), self.rng.choice([5, 8, 12])))

    def of_grids(self, shape: Shape) -> None:
        rng = self.rng
        x = self.given(shape)
        kinds = [convolution, convolution, activation, pooling, channelwise]
        layers, shape = stack(rng, shape, rng.randint(2, 6), kinds)
        form = "{m}({x})"
        # (PyTorch crashes where GroupNorm of such images gets a gradient with gaps.)
        if rng.random() < 0.2 and "GroupNorm" not in str(layers):
            form = "{m}({x}.contiguous(memory_format=torch.channels_last))"
        if rng.random() < 0.8:
            size = 1
            for extent in shape:
                size *= extent
            layers.append(f"torch.nn.Flatten({rng.choice(['', '1', '1, -1'])})")
            more, shape = stack(rng, (size,), rng.randint(1, 3), [dense, dense, activation])
            layers += more
        self.trained(x, self.model(layers), form, shape)

    def of_sequences(self) -> None:
        rng = self.rng
        long, wide = rng.choice([1, 3, 5, 7]), rng.choice([2, 4, 6])
        x = self.given((long, wide))
        self.over_steps(x, long, wide, "{x}")

    def of_tokens(self) -> None:
        rng = self.rng
        long, wide, symbols = rng.choice([1, 3, 5, 7]), rng.choice([2, 4, 6]), rng.choice([5, 9])
        x = self.given_numbers((long,), symbols)
        if rng.random() < 0.25:
            mode = rng.choice(["sum", "mean", "max"])
            layers = [f"torch.nn.EmbeddingBag({symbols}, {wide}, mode='{mode}')"]
            more, shape = stack(rng, (wide,), rng.randint(1, 3), [dense, activation])
            return self.trained(x, self.model(layers + more), "{m}({x})", shape)
        kind = rng.choice(["", ", padding_idx=0", ", scale_grad_by_freq=True", ", max_norm=0.8"])
        table = self.model([f"torch.nn.Embedding({symbols}, {wide}{kind})"])
        return self.over_steps(x, long, wide, f"{table}({{x}})")

    def over_steps(self, x: Var, long: int, wide: int, inner: str) -> None:
        """Something recurrent, or attention, then layers for its steps or its last one."""
        rng = self.rng
        made = wide
        kind = rng.choice(["RNN", "LSTM", "GRU", "encoder", "attention", "none"])
        if kind in ("RNN", "LSTM", "GRU"):
            made, both = rng.choice([3, 4, 6]), rng.random() < 0.3
            depth = rng.choice([1, 1, 2])
            more = ", bidirectional=True" if both else ""
            more += ", nonlinearity='relu'" if kind == "RNN" and rng.random() < 0.3 else ""
            more += ", dropout=0.2" if depth > 1 and rng.random() < 0.3 else ""
            text = f"torch.nn.{kind}({wide}, {made}, {depth}, batch_first=True{more})"
            made *= 2 if both else 1
            inner = f"{self.model([text])}[0]({inner})[0]"
        elif kind == "encoder":
            norm = rng.choice(["", ", norm_first=True", ", activation='gelu'"])
            rate = rng.choice(["0.0", "0.0", "0.2"])
            text = (
                f"torch.nn.TransformerEncoderLayer({wide}, 2, {2 * wide}, dropout={rate}, "
                f"batch_first=True{norm})"
            )
            inner = f"{self.model([text])}({inner})"
        elif kind == "attention":
            text = f"torch.nn.MultiheadAttention({wide}, 2, batch_first=True)"
            name = self.model([text])
            self.result(inner.format(x=x.name), (self.batch, long, wide), "float32")
            inner = f"{name}[0]({inner}, {inner}, {inner}, need_weights={rng.random() < 0.5})[0]"
        shape: Shape = (long, made)
        if rng.random() < 0.6:
            inner += rng.choice(["[:, -1]", ".mean(1)", "[:, 0]", ".amax(1)", ".sum(1)"])
            shape = (made,)
        head, shape = stack(rng, shape, rng.randint(1, 3), [dense, dense, activation])
        self.trained(x, self.model(head), "{m}(" + inner + ")", shape)

    # ---- loops
    # -----------------------------------------------------------------------------------

    def trained(self, x: Var, model: str, form: str, shape: Shape) -> None:
        """Two loops, and what stands between them, then all that they leave behind."""
        rng = self.rng
        parameters = f"{model}.parameters()"
        if len(self.models) > 1:
            parameters = f"[p for m in ({', '.join(self.models)}) for p in m.parameters()]"
        elif rng.random() < 0.2:
            parameters = (
                f"[{{'params': {model}[0].parameters(), 'lr': 0.02}}, "
                f"{{'params': {model}[1:].parameters()}}]"
            )
        if rng.random() < 0.05:
            self.line(f"{model}[-1].weight = {model}[0].weight")  # (mostly of another shape)
        optimizer, scheduler = self.name("o"), self.name("s")
        made = rng.choice(OPTIMIZERS).format(p=parameters, r=rng.choice(RATES))
        self.line(f"{optimizer} = torch.optim.{made}")
        planned = rng.random() < 0.3
        if planned:
            text = rng.choice(SCHEDULERS).format(o=optimizer)
            self.line(f"{scheduler} = torch.optim.lr_scheduler.{text}")
        loss = self.loss_of(shape)
        for number in range(rng.choice([1, 2, 2])):
            if number:
                self.between(model, optimizer, x, form, UNSEEN)
                if rng.random() < 0.3:
                    self.batch = rng.choice([1, 2, 3, 5])
                    given = self.given(x.shape[1:]) if x.floating else None
                    if given is not None:
                        x, loss = given, self.loss_of(shape)
            self.loop_of(x, model, form, loss, optimizer, scheduler if planned else "")
        for name in self.models:
            self.line(f"[*{name}.parameters(), *{name}.buffers()]", observed=True)
        state = f"[v for p in {optimizer}.state.values() for _, v in sorted(p.items())]"
        self.line(state, observed=True)

    def loss_of(self, shape: Shape) -> str:
        """A loss of output `{x}`, with a target."""
        rng = self.rng
        if len(shape) == 1 and shape[0] > 1 and rng.random() < 0.5:
            target = self.given_numbers((), shape[0]).name
            return "torch.nn.functional." + rng.choice(OF_CLASSES).replace("{y}", target)
        target = self.given(shape, target=True).name
        return "torch.nn.functional." + rng.choice(OF_NUMBERS).replace("{y}", target)

    def loop_of(
        self, x: Var, model: str, form: str, loss: str, optimizer: str, scheduler: str
    ) -> None:
        rng = self.rng
        self.loops.append("i")
        outer, self.out = self.out, []
        self.depth += 2
        emptied = rng.choice(["zero_grad()", "zero_grad()", "zero_grad(set_to_none=False)"])
        late = rng.random() < 0.2  # gradients are let go behind the step
        if not late:
            self.line(f"{optimizer}.{emptied}")
        y, cost = self.name(), self.name()
        self.line(f"{y} = " + form.replace("{m}", model).replace("{x}", x.name))
        self.aside(model, optimizer, x, form)
        self.line(f"{cost} = " + loss.replace("{x}", y))
        if rng.random() < 0.1:
            self.line(f"{cost} = {cost} + 0.01 * sum((p ** 2).sum() for p in {model}.parameters())")
        self.line(f"{cost}.backward({rng.choice(['', '', '', 'retain_graph=True'])})")
        self.aside(model, optimizer, x, form)
        if rng.random() < 0.15:
            self.line(f"torch.nn.utils.clip_grad_norm_({model}.parameters(), 0.3)")
        step: tuple[Statement, ...] = (Line(f"{optimizer}.step()"),)
        if rng.random() < 0.12:
            self.out.append(Block("if i % 2 == 1", step))
        else:
            self.out += step
        if late:
            self.line(f"{optimizer}.{emptied}")
        if scheduler:
            self.line(f"{scheduler}.step()")
        if rng.random() < 0.6:
            self.line(f"{cost}.item()", observed=True)
        self.aside(model, optimizer, x, form, UNSEEN)
        self.depth -= 2
        self.loops.pop()
        outer.append(Block(f"for i in range({rng.randint(2, 6)})", tuple(self.out)))
        self.out = outer
        self.line(cost, observed=True)

    def aside(
        self, model: str, optimizer: str, x: Var, form: str, more: tuple[str, ...] = ()
    ) -> None:
        """Perhaps something else in between, of the model or of tensors alone."""
        chance = self.rng.random()
        if chance < 0.2:
            self.between(model, optimizer, x, form, more)
        elif chance < 0.27:
            self.statement()

    def between(
        self, model: str, optimizer: str, x: Var, form: str, more: tuple[str, ...] = ()
    ) -> None:
        rng = self.rng
        seen = rng.random() < 0.4
        text = rng.choice(SEEN if seen else BETWEEN + more)
        text = text.replace("{m}({x})", form).replace("{i}", self.loops[-1] if self.loops else "1")
        line = Line(
            text.replace("{m}", model).replace("{o}", optimizer).replace("{x}", x.name),
            observed=seen,
        )
        if rng.random() < 0.3 and "backward()" not in text and "grad(" not in text:
            self.out.append(Block("with torch.no_grad()", (line,)))
        else:
            self.out.append(line)
