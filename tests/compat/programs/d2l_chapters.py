import matplotlib

matplotlib.use("Agg")
import warnings

warnings.simplefilter("ignore")
import torch, math, collections
from torch import nn
from torch.nn import functional as F
from d2l import torch as d2l


class Quiet(d2l.Module):
    pass


d2l.Module.plot = lambda self, key, value, train: hist.append(
    (key, round(float(value), 4)) if train or key else None
)
hist = []
torch.manual_seed(0)
data = d2l.SyntheticRegressionData(w=torch.tensor([2, -3.4]), b=4.2)


class Lin(d2l.Module):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.LazyLinear(1)
        self.net.weight.data.normal_(0, 0.01) if hasattr(self.net, "weight") and not isinstance(
            self.net.weight, nn.UninitializedParameter
        ) else None

    def forward(self, X):
        return self.net(X)

    def loss(self, y_hat, y):
        return nn.MSELoss()(y_hat, y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)


m = Lin(0.03)
t = d2l.Trainer(max_epochs=3)
t.fit(m, data)
print(m.net.weight.data, m.net.bias.data, hist[-3:])
m = d2l.LinearRegressionScratch(2, lr=0.03)
t = d2l.Trainer(max_epochs=3)
t.fit(m, data)
print(m.w, m.b)
m = d2l.LinearRegression(lr=0.03)
d2l.Trainer(max_epochs=2).fit(m, data)
print(m.get_w_b())
# attention
torch.manual_seed(0)
q, k, v = (
    torch.normal(0, 1, (2, 1, 2)),
    torch.normal(0, 1, (2, 10, 2)),
    torch.normal(0, 1, (2, 10, 4)),
)
vl = torch.tensor([2, 6])
att = d2l.DotProductAttention(dropout=0.5)
att.eval()
print(att(q, k, v, vl), att.attention_weights.shape)
att = d2l.AdditiveAttention(num_hiddens=8, dropout=0.1)
att.eval()
print(att(torch.normal(0, 1, (2, 1, 20)), k, v, vl))
mh = d2l.MultiHeadAttention(100, 5, 0.5).eval()
print(
    mh(
        torch.ones(2, 4, 100), torch.ones(2, 6, 100), torch.ones(2, 6, 100), torch.tensor([3, 2])
    ).mean()
)
print(d2l.masked_softmax(torch.rand(2, 2, 4), torch.tensor([2, 3])))
pe = d2l.PositionalEncoding(32, 0).eval()
print(pe(torch.zeros(1, 60, 32))[0, :3, :4])
enc = d2l.TransformerEncoder(200, 24, 48, 8, 2, 0.5).eval()
print(enc(torch.ones(2, 100, dtype=torch.long), torch.tensor([3, 2])).shape)


# RNN
class TM(d2l.DataModule):
    def __init__(self, batch_size, num_steps, n=600):
        super().__init__()
        self.save_hyperparameters()
        txt = "the time traveller for so it will be convenient to speak of him " * 30
        self.vocab = d2l.Vocab(list(txt))
        c = [self.vocab[x] for x in txt]
        a = torch.tensor([c[i : i + num_steps + 1] for i in range(n)])
        self.X, self.Y = a[:, :-1], a[:, 1:]
        self.num_train = 500
        self.num_val = 100

    def get_dataloader(self, train):
        i = (
            slice(0, self.num_train)
            if train
            else slice(self.num_train, self.num_train + self.num_val)
        )
        return self.get_tensorloader([self.X, self.Y], train, i)


data = TM(64, 16)
torch.manual_seed(1)
hist.clear()
rnn = d2l.RNNScratch(num_inputs=len(data.vocab), num_hiddens=32)
model = d2l.RNNLMScratch(rnn, vocab_size=len(data.vocab), lr=1)
d2l.Trainer(max_epochs=2, gradient_clip_val=1).fit(model, data)
print(hist[-2:])
torch.manual_seed(1)
hist.clear()


class LSTM(d2l.RNN):
    def __init__(self, num_inputs, num_hiddens):
        d2l.Module.__init__(self)
        self.save_hyperparameters()
        self.rnn = nn.LSTM(num_inputs, num_hiddens)

    def forward(self, inputs, H_C=None):
        return self.rnn(inputs, H_C)


lstm = LSTM(len(data.vocab), 32)
model = d2l.RNNLM(lstm, vocab_size=len(data.vocab), lr=4)
d2l.Trainer(max_epochs=3, gradient_clip_val=1).fit(model, data)
print(hist[-2:])
print(model.predict("it has", 10, data.vocab))
gru = d2l.GRU(len(data.vocab), 16, 2)
print(gru(torch.ones(5, 2, len(data.vocab)))[0].shape)
# seq2seq with attention
src, tgt = torch.randint(1, 20, (128, 9)), torch.randint(1, 20, (128, 9))


class Pairs(d2l.DataModule):
    def __init__(self):
        super().__init__()
        self.batch_size = 32
        self.num_workers = 0
        self.tgt_vocab = {"<pad>": 0}

    def get_dataloader(self, train):
        return self.get_tensorloader((src, tgt[:, :-1], torch.full((128,), 9), tgt[:, 1:]), train)


class AttDec(d2l.AttentionDecoder):
    def __init__(self, vocab_size, embed_size, num_hiddens, num_layers, dropout=0):
        super().__init__()
        self.attention = d2l.AdditiveAttention(num_hiddens, dropout)
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = nn.GRU(embed_size + num_hiddens, num_hiddens, num_layers, dropout=dropout)
        self.dense = nn.LazyLinear(vocab_size)
        self.apply(d2l.init_seq2seq)

    def init_state(self, enc_outputs, enc_valid_lens):
        o, h = enc_outputs
        return (o.permute(1, 0, 2), h, enc_valid_lens)

    def forward(self, X, state):
        enc_outputs, hidden_state, enc_valid_lens = state
        X = self.embedding(X).permute(1, 0, 2)
        outputs, self._attention_weights = [], []
        for x in X:
            query = torch.unsqueeze(hidden_state[-1], dim=1)
            context = self.attention(query, enc_outputs, enc_outputs, enc_valid_lens)
            x = torch.cat((context, torch.unsqueeze(x, dim=1)), dim=-1)
            out, hidden_state = self.rnn(x.permute(1, 0, 2), hidden_state)
            outputs.append(out)
            self._attention_weights.append(self.attention.attention_weights)
        outputs = self.dense(torch.cat(outputs, dim=0))
        return outputs.permute(1, 0, 2), [enc_outputs, hidden_state, enc_valid_lens]

    @property
    def attention_weights(self):
        return self._attention_weights


torch.manual_seed(2)
hist.clear()
e = d2l.Seq2SeqEncoder(20, 16, 16, 2)
d = AttDec(20, 16, 16, 2)
mod = d2l.Seq2Seq(e, d, tgt_pad=0, lr=0.005)
d2l.Trainer(max_epochs=2, gradient_clip_val=1).fit(mod, Pairs())
print(hist[-2:])
# CNN
torch.manual_seed(0)
net = d2l.ResNeXtBlock(32, 16, 1)
print(net(torch.randn(4, 32, 16, 16)).shape)
r = d2l.Residual(6, use_1x1conv=True, strides=2)
print(r(torch.randn(4, 3, 6, 6)).shape)
n = d2l.LeNet(lr=0.1)
n.apply_init([torch.randn(1, 1, 28, 28)], d2l.init_cnn)
n.layer_summary((1, 1, 28, 28))
print(
    d2l.corr2d(torch.arange(9.0).reshape(3, 3), torch.arange(4.0).reshape(2, 2)),
    d2l.cpu(),
    d2l.num_gpus(),
    d2l.try_gpu(),
)


class Cls(d2l.Classifier):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))


class Img(d2l.DataModule):
    def __init__(s):
        super().__init__()
        s.batch_size = 16
        s.X = torch.randn(64, 1, 8, 8)
        s.y = torch.randint(0, 10, (64,))

    def get_dataloader(s, train):
        return s.get_tensorloader((s.X, s.y), train)


torch.manual_seed(3)
hist.clear()
c = Cls(0.1)
d2l.Trainer(max_epochs=4).fit(c, Img())
print(hist[-3:])
b = d2l.BERTModel(50, 32, 64, 2, 2, 0.1, max_len=20).eval()
tok = torch.randint(0, 50, (2, 8))
eX, mlm, nsp = b(
    tok, torch.zeros(2, 8, dtype=torch.long), torch.tensor([8, 6]), torch.tensor([[1, 2], [3, 4]])
)
print(eX.shape, mlm.shape, nsp.shape)
print(
    d2l.multibox_prior(torch.rand(1, 3, 4, 4), sizes=[0.75, 0.5], ratios=[1, 2])[0, :2],
    d2l.box_iou(torch.tensor([[0, 0, 2.0, 2]]), torch.tensor([[1, 1, 3.0, 3]])),
    d2l.nms(
        torch.tensor([[0, 0, 1.0, 1], [0, 0, 0.9, 1], [2, 2, 3, 3]]),
        torch.tensor([0.9, 0.8, 0.7]),
        0.5,
    ),
)
