"""A character-level recurrent network that learns a few lines and then babbles."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1234)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
print("Using device:", device)

text = "the quick brown fox jumps over the lazy dog. the dog sleeps, the fox runs away. " * 4
chars = sorted(set(text))
vocab_size = len(chars)
stoi = {ch: i for i, ch in enumerate(chars)}
itos = {i: ch for ch, i in stoi.items()}
print(f"{len(text)} characters, {vocab_size} unique")


def encode(s):
    return torch.tensor([stoi[c] for c in s], dtype=torch.long)


data = encode(text)
print(data.shape, data.dtype, data[:10])


def one_hot(batch, depth):
    out = torch.zeros(*batch.shape, depth)
    out.scatter_(-1, batch.unsqueeze(-1), 1.0)
    return out


class CharRNN(nn.Module):
    def __init__(self, vocab, hidden=48, layers=2, dropout=0.1):
        super().__init__()
        self.hidden_size = hidden
        self.num_layers = layers
        self.lstm = nn.LSTM(vocab, hidden, layers, batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden, vocab)

    def forward(self, x, state):
        out, state = self.lstm(x, state)
        out = self.dropout(out)
        return self.fc(out), state

    def init_hidden(self, batch_size):
        weight = next(self.parameters()).data
        shape = (self.num_layers, batch_size, self.hidden_size)
        return weight.new(*shape).zero_(), weight.new(*shape).zero_()


def get_batches(arr, batch_size, seq_len):
    n_batches = (len(arr) - 1) // (batch_size * seq_len)
    xs = arr[: n_batches * batch_size * seq_len].view(batch_size, -1)
    ys = arr[1 : n_batches * batch_size * seq_len + 1].view(batch_size, -1)
    for i in range(0, xs.size(1), seq_len):
        yield xs[:, i : i + seq_len], ys[:, i : i + seq_len]


model = CharRNN(vocab_size).to(device)
print(model)
print("parameters:", sum(p.numel() for p in model.parameters() if p.requires_grad))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)

for epoch in range(3):
    model.train()
    hidden = model.init_hidden(4)
    total, count = 0.0, 0
    for x, y in get_batches(data, 4, 16):
        hidden = tuple(h.data for h in hidden)
        model.zero_grad()
        logits, hidden = model(one_hot(x, vocab_size), hidden)
        loss = criterion(logits.reshape(-1, vocab_size), y.reshape(-1))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        total += loss.item()
        count += 1
    print(f"Epoch {epoch + 1}/3 loss {total / count:.4f} grad norm {norm:.3f}")


@torch.no_grad()
def sample(start, length, temperature=0.8, top_k=5):
    model.eval()
    state = model.init_hidden(1)
    generated = list(start)
    x = encode(start).unsqueeze(0)
    for _ in range(length):
        logits, state = model(one_hot(x, vocab_size), state)
        probs = F.softmax(logits[0, -1] / temperature, dim=0)
        p, top = probs.topk(top_k)
        p = p.numpy()
        choice = top[torch.multinomial(torch.from_numpy(p / p.sum()), 1)].item()
        generated.append(itos[choice])
        x = torch.tensor([[choice]])
    return "".join(generated)


print(len(sample("the ", 40)))
print("perplexity: %.3f" % torch.exp(loss.detach()))
print("hidden:", [tuple(h.size()) for h in hidden], hidden[0].requires_grad)
