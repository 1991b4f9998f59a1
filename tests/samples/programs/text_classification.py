"""Topic classification: vocabulary, EmbeddingBag with offsets, collate_fn, StepLR."""

import time
from collections import Counter

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.dataset import random_split

torch.manual_seed(11)
SPORT = "match goal team player win cup race coach league score".split()
MONEY = "bank stock market share profit trade price loan rate fund".split()
OTHER = "the a of in to and for on with at".split()


def make_example(i):
    g = torch.Generator().manual_seed(i)
    label = i % 2
    words = SPORT if label == 0 else MONEY
    length = int(torch.randint(4, 10, (1,), generator=g))
    picks = torch.randint(0, 10, (length,), generator=g).tolist()
    return label + 1, " ".join(words[p] if k % 2 else OTHER[p] for k, p in enumerate(picks))


def tokenizer(line):
    return line.lower().split()


class Vocab:
    def __init__(self, lines):
        counter = Counter(t for _, line in lines for t in tokenizer(line))
        self.itos = ["<unk>"] + [w for w, _ in sorted(counter.items(), key=lambda p: (-p[1], p[0]))]
        self.stoi = {w: i for i, w in enumerate(self.itos)}

    def __call__(self, tokens):
        return [self.stoi.get(t, 0) for t in tokens]

    def __len__(self):
        return len(self.itos)


examples = [make_example(i) for i in range(120)]
vocab = Vocab(examples)
text_pipeline = lambda x: vocab(tokenizer(x))
label_pipeline = lambda x: int(x) - 1
device = torch.device("cpu")


def collate_batch(batch):
    label_list, text_list, offsets = [], [], [0]
    for _label, _text in batch:
        label_list.append(label_pipeline(_label))
        processed_text = torch.tensor(text_pipeline(_text), dtype=torch.int64)
        text_list.append(processed_text)
        offsets.append(processed_text.size(0))
    label_list = torch.tensor(label_list, dtype=torch.int64)
    offsets = torch.tensor(offsets[:-1]).cumsum(dim=0)
    text_list = torch.cat(text_list)
    return label_list.to(device), text_list.to(device), offsets.to(device)


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super(TextClassificationModel, self).__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        initrange = 0.5
        self.embedding.weight.data.uniform_(-initrange, initrange)
        self.fc.weight.data.uniform_(-initrange, initrange)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        embedded = self.embedding(text, offsets)
        return self.fc(embedded)


num_class = len(set([label for (label, text) in examples]))
model = TextClassificationModel(len(vocab), 16, num_class).to(device)
print(model)


def train(dataloader):
    model.train()
    total_acc, total_count = 0, 0
    log_interval = 3
    for idx, (label, text, offsets) in enumerate(dataloader):
        optimizer.zero_grad()
        predicted_label = model(text, offsets)
        loss = criterion(predicted_label, label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        total_acc += (predicted_label.argmax(1) == label).sum().item()
        total_count += label.size(0)
        if idx % log_interval == 0 and idx > 0:
            print(
                "| epoch {:3d} | {:5d}/{:5d} batches | accuracy {:8.3f}".format(
                    epoch, idx, len(dataloader), total_acc / total_count
                )
            )
            total_acc, total_count = 0, 0


def evaluate(dataloader):
    model.eval()
    total_acc, total_count = 0, 0
    with torch.no_grad():
        for idx, (label, text, offsets) in enumerate(dataloader):
            predicted_label = model(text, offsets)
            total_acc += (predicted_label.argmax(1) == label).sum().item()
            total_count += label.size(0)
    return total_acc / total_count


criterion = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=5)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.1)
total_accu = None
split_train_, split_valid_ = random_split(examples, [100, 20])
train_dataloader = DataLoader(split_train_, batch_size=16, shuffle=True, collate_fn=collate_batch)
valid_dataloader = DataLoader(split_valid_, batch_size=16, shuffle=True, collate_fn=collate_batch)
for epoch in range(1, 4):
    start = time.time()
    train(train_dataloader)
    accu_val = evaluate(valid_dataloader)
    if total_accu is not None and total_accu > accu_val:
        scheduler.step()
    else:
        total_accu = accu_val
    print("-" * 40)
    print("| end of epoch {:3d} | valid accuracy {:8.3f} ".format(epoch, accu_val))
with torch.no_grad():
    text = torch.tensor(text_pipeline("the team and a goal in Paris"))
    output = model(text, torch.tensor([0]))
    print({0: "Sport", 1: "Money"}[output.argmax(1).item()], output)
for mode in ("sum", "mean", "max"):
    bag = nn.EmbeddingBag.from_pretrained(torch.arange(12.0).view(4, 3), mode=mode)
    print(bag, bag(torch.tensor([[0, 1], [2, 3]])))
