"""word2vec: skip-gram with negative sampling; sparse embeddings; nearest neighbours."""

from collections import Counter

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

np.random.seed(1)
torch.manual_seed(1)
CONTEXT_SIZE, EMBEDDING_DIM = 2, 10
test_sentence = """From fairest creatures we desire increase that thereby beauty rose might never
die but as the riper should by time decease his tender heir might bear his memory but thou
contracted to thine own bright eyes feed thy light flame with self substantial fuel making a famine
where abundance lies thy self thy foe to thy sweet self too cruel""".lower().split()
vocab = sorted(set(test_sentence))
word_to_ix = {word: i for i, word in enumerate(vocab)}
counts = Counter(test_sentence)
freqs = torch.tensor([counts[w] for w in vocab], dtype=torch.float)
noise_dist = freqs.pow(0.75) / freqs.pow(0.75).sum()
print(len(vocab), noise_dist.sum(), noise_dist[:4])


class NGramLanguageModeler(nn.Module):
    def __init__(self, vocab_size, embedding_dim, context_size):
        super(NGramLanguageModeler, self).__init__()
        self.embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.linear1 = nn.Linear(context_size * embedding_dim, 32)
        self.linear2 = nn.Linear(32, vocab_size)

    def forward(self, inputs):
        embeds = self.embeddings(inputs).view((1, -1))
        out = F.relu(self.linear1(embeds))
        return F.log_softmax(self.linear2(out), dim=1)


trigrams = [
    ([test_sentence[i], test_sentence[i + 1]], test_sentence[i + 2])
    for i in range(len(test_sentence) - 2)
]
print(trigrams[:3])
losses = []
loss_function = nn.NLLLoss()
model = NGramLanguageModeler(len(vocab), EMBEDDING_DIM, CONTEXT_SIZE)
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
for epoch in range(3):
    total_loss = 0
    for context, target in trigrams:
        context_idxs = torch.tensor([word_to_ix[w] for w in context], dtype=torch.long)
        model.zero_grad()
        log_probs = model(context_idxs)
        loss = loss_function(log_probs, torch.tensor([word_to_ix[target]], dtype=torch.long))
        loss.backward()
        optimizer.step()
        total_loss += loss.item()
    losses.append(total_loss)
print([round(v, 2) for v in losses])
print(model.embeddings.weight[word_to_ix["beauty"]])


class SkipGramNeg(nn.Module):
    def __init__(self, n_vocab, n_embed, noise_dist):
        super().__init__()
        self.noise_dist = noise_dist
        self.in_embed = nn.Embedding(n_vocab, n_embed)
        self.out_embed = nn.Embedding(n_vocab, n_embed)
        self.in_embed.weight.data.uniform_(-1, 1)
        self.out_embed.weight.data.uniform_(-1, 1)

    def forward(self, words, targets, n_samples=5):
        v = self.in_embed(words).unsqueeze(2)
        u = self.out_embed(targets).unsqueeze(1)
        noise_words = torch.multinomial(self.noise_dist, len(words) * n_samples, replacement=True)
        n = self.out_embed(noise_words).view(len(words), n_samples, -1)
        out_loss = torch.bmm(u, v).sigmoid().log().squeeze()
        noise_loss = torch.bmm(n.neg(), v).sigmoid().log()
        noise_loss = noise_loss.squeeze().sum(1)
        return -(out_loss + noise_loss).mean()


ids = [word_to_ix[w] for w in test_sentence]
model = SkipGramNeg(len(vocab), EMBEDDING_DIM, noise_dist)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(2):
    for start in range(0, len(ids) - 16, 16):
        batch = ids[start : start + 16]
        x, y = [], []
        for i, w in enumerate(batch):
            R = np.random.randint(1, 4)
            for j in range(max(0, i - R), min(len(batch), i + R + 1)):
                if j != i:
                    x.append(w)
                    y.append(batch[j])
        loss = model(torch.LongTensor(x), torch.LongTensor(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", round(loss.item(), 3))


def nearest(word, k=3):
    table = model.in_embed.weight.detach()
    sims = F.cosine_similarity(table, table[word_to_ix[word]].unsqueeze(0))
    values, where = sims.topk(k + 1)
    return [vocab[i] for i in where[1:]], values[0].item()


found, own = nearest("self")
print(len(found), f"{own:.3f}")
embeddings = model.in_embed.weight.to("cpu").data.numpy()
print(embeddings.shape, embeddings.dtype)
pretrained = nn.Embedding.from_pretrained(torch.FloatTensor([[1, 2.3, 3], [4, 5.1, 6.3]]))
print(pretrained(torch.LongTensor([1])), pretrained.weight.requires_grad)
