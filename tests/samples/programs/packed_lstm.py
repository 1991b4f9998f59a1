"""Sentences of different lengths: pad_sequence, packing, a bidirectional LSTM classifier."""

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler

torch.manual_seed(21)


class Sentences(Dataset):
    def __init__(self, n=60, vocab=30):
        self.items = []
        for i in range(n):
            length = int(torch.randint(2, 11, ()))
            tokens = torch.randint(1, vocab, (length,))
            self.items.append((tokens, int(tokens.float().mean() > vocab / 2)))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    batch.sort(key=lambda item: len(item[0]), reverse=True)
    sequences, labels = zip(*batch)
    lengths = torch.tensor([len(s) for s in sequences])
    padded = pad_sequence(sequences, batch_first=True, padding_value=0)
    return padded, lengths, torch.tensor(labels, dtype=torch.float32)


class Classifier(nn.Module):
    def __init__(self, vocab=30, embed=12, hidden=10):
        super().__init__()
        self.embedding = nn.Embedding(vocab, embed, padding_idx=0)
        self.lstm = nn.LSTM(embed, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.norm = nn.LayerNorm(hidden * 2)
        self.fc = nn.Linear(hidden * 2, 1)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.embedding(x), lengths, batch_first=True)
        packed_out, (h, c) = self.lstm(packed)
        out, out_lengths = pad_packed_sequence(packed_out, batch_first=True)
        assert torch.equal(out_lengths, lengths)
        last = torch.cat((h[-2], h[-1]), dim=1)
        mask = torch.arange(out.size(1))[None, :] < lengths[:, None]
        mean = (out * mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)
        return self.fc(self.norm(last + mean)).squeeze(1)


def binary_accuracy(preds, y):
    rounded = torch.round(torch.sigmoid(preds))
    correct = (rounded == y).float()
    return correct.sum() / len(correct)


dataset = Sentences()
train_loader = DataLoader(
    dataset, batch_size=10, sampler=SubsetRandomSampler(range(50)), collate_fn=collate
)
valid_loader = DataLoader(
    dataset, batch_size=5, sampler=SubsetRandomSampler(range(50, 60)), collate_fn=collate
)
model = Classifier()
print(model)
print(f"The model has {sum(p.numel() for p in model.parameters()):,} trainable parameters")
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.BCEWithLogitsLoss()
for epoch in range(2):
    epoch_loss = epoch_acc = 0
    model.train()
    for x, lengths, y in train_loader:
        optimizer.zero_grad()
        predictions = model(x, lengths)
        loss = criterion(predictions, y)
        acc = binary_accuracy(predictions, y)
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
        epoch_acc += acc.item()
    print(f"\tTrain Loss: {epoch_loss / len(train_loader):.3f}")
    model.eval()
    with torch.no_grad():
        losses = [criterion(model(x, n), y).item() for x, n, y in valid_loader]
    print(f"\t Val. Loss: {sum(losses) / len(losses):.3f}")
print(model.embedding.weight[0], model.embedding.weight.grad[0].abs().sum())
a, b, c = torch.arange(1, 4), torch.arange(4, 6), torch.tensor([9])
packed = nn.utils.rnn.pack_sequence([b, a, c], enforce_sorted=False)
print(packed)
print(pad_packed_sequence(packed, padding_value=-1))
print(nn.utils.rnn.unpad_sequence(pad_sequence([a, b]), torch.tensor([3, 2])))
try:
    pack_padded_sequence(torch.zeros(3, 2, 1), [1, 3])
except RuntimeError as error:
    print(error)
