"""Reversing sequences of digits: an encoder, an attending decoder and teacher forcing."""

import math
import random
import time

import torch
from torch import nn, optim
import torch.nn.functional as F

random.seed(0)
torch.manual_seed(0)

SOS_token, EOS_token, PAD = 0, 1, 2
MAX_LENGTH = 8
N_WORDS = 13
device = "cuda" if torch.cuda.is_available() else "cpu"


def make_pair():
    n = random.randint(3, MAX_LENGTH - 1)
    src = [random.randint(3, N_WORDS - 1) for _ in range(n)]
    return src + [EOS_token], src[::-1] + [EOS_token]


pairs = [make_pair() for _ in range(60)]


def tensorFromIndexes(indexes):
    return torch.tensor(indexes, dtype=torch.long, device=device).view(-1, 1)


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size):
        super(EncoderRNN, self).__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)

    def forward(self, input, hidden):
        embedded = self.embedding(input).view(1, 1, -1)
        output, hidden = self.gru(embedded, hidden)
        return output, hidden

    def initHidden(self):
        return torch.zeros(1, 1, self.hidden_size, device=device)


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size, dropout_p=0.1, max_length=MAX_LENGTH):
        super(AttnDecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attn = nn.Linear(hidden_size * 2, max_length)
        self.attn_combine = nn.Linear(hidden_size * 2, hidden_size)
        self.dropout = nn.Dropout(dropout_p)
        self.gru = nn.GRU(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, input, hidden, encoder_outputs):
        embedded = self.dropout(self.embedding(input).view(1, 1, -1))
        attn_weights = F.softmax(self.attn(torch.cat((embedded[0], hidden[0]), 1)), dim=1)
        attn_applied = torch.bmm(attn_weights.unsqueeze(0), encoder_outputs.unsqueeze(0))
        output = torch.cat((embedded[0], attn_applied[0]), 1)
        output = self.attn_combine(output).unsqueeze(0)
        output = F.relu(output)
        output, hidden = self.gru(output, hidden)
        output = F.log_softmax(self.out(output[0]), dim=1)
        return output, hidden, attn_weights


def encode(encoder, input_tensor):
    encoder_hidden = encoder.initHidden()
    encoder_outputs = torch.zeros(MAX_LENGTH, encoder.hidden_size, device=device)
    for ei in range(input_tensor.size(0)):
        encoder_output, encoder_hidden = encoder(input_tensor[ei], encoder_hidden)
        encoder_outputs[ei] = encoder_output[0, 0]
    return encoder_outputs, encoder_hidden


def train(input_tensor, target_tensor, encoder, decoder, enc_opt, dec_opt, criterion):
    enc_opt.zero_grad()
    dec_opt.zero_grad()
    target_length = target_tensor.size(0)
    encoder_outputs, decoder_hidden = encode(encoder, input_tensor)
    decoder_input = torch.tensor([[SOS_token]], device=device)
    loss = 0
    use_teacher_forcing = random.random() < 0.7
    for di in range(target_length):
        decoder_output, decoder_hidden, _ = decoder(decoder_input, decoder_hidden, encoder_outputs)
        loss += criterion(decoder_output, target_tensor[di])
        if use_teacher_forcing:
            decoder_input = target_tensor[di]
        else:
            topv, topi = decoder_output.topk(1)
            decoder_input = topi.squeeze().detach()
            if decoder_input.item() == EOS_token:
                break
    loss.backward()
    enc_opt.step()
    dec_opt.step()
    return loss.item() / target_length


def asMinutes(s):
    m = math.floor(s / 60)
    return "%dm %ds" % (m, s - m * 60)


hidden_size = 16
encoder = EncoderRNN(N_WORDS, hidden_size).to(device)
decoder = AttnDecoderRNN(hidden_size, N_WORDS).to(device)
print(encoder, decoder, sep="\n")
enc_opt = optim.SGD(encoder.parameters(), lr=0.01)
dec_opt = optim.SGD(decoder.parameters(), lr=0.01)
criterion = nn.NLLLoss()
start, plot_losses, print_loss_total = time.time(), [], 0
for step in range(1, 31):
    src, dst = random.choice(pairs)
    loss = train(
        tensorFromIndexes(src), tensorFromIndexes(dst), encoder, decoder, enc_opt, dec_opt, criterion
    )
    print_loss_total += loss
    if step % 10 == 0:
        print("(%d %d%%) %.4f" % (step, step / 30 * 100, print_loss_total / 10))
        plot_losses.append(print_loss_total / 10)
        print_loss_total = 0
assert asMinutes(time.time() - start)


def evaluate(sentence, max_length=MAX_LENGTH):
    with torch.no_grad():
        encoder_outputs, hidden = encode(encoder, tensorFromIndexes(sentence))
        decoder_input = torch.tensor([[SOS_token]], device=device)
        words, attentions = [], torch.zeros(max_length, max_length)
        for di in range(max_length):
            output, hidden, attention = decoder(decoder_input, hidden, encoder_outputs)
            attentions[di] = attention.data
            topv, topi = output.data.topk(1)
            if topi.item() == EOS_token:
                break
            words.append(topi.item())
            decoder_input = topi.squeeze().detach()
        return words, attentions[: di + 1]


encoder.eval()
decoder.eval()
words, attention = evaluate(pairs[0][0])
print("input", pairs[0][0], "attention", attention.shape, attention.sum(1)[:2])
