import torch, os, tempfile, warnings

warnings.simplefilter("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers import (
    BertConfig,
    BertModel,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

torch.manual_seed(0)
c = BertConfig(
    vocab_size=60,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    num_labels=3,
)
m = BertForSequenceClassification(c)
print(sum(p.numel() for p in m.parameters()), sum(p.abs().sum().item() for p in m.parameters()))
ids = torch.randint(0, 60, (4, 12))
mask = torch.ones(4, 12, dtype=torch.long)
mask[1, 8:] = 0
y = torch.tensor([0, 1, 2, 1])
o = m(input_ids=ids, attention_mask=mask, labels=y)
print(o.loss.item(), o.logits.detach())
opt = torch.optim.AdamW(m.parameters(), 1e-3)
for i in range(5):
    l = m(input_ids=ids, attention_mask=mask, labels=y).loss
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"{l.item():.4f}")
g = GPT2Config(
    vocab_size=60,
    n_positions=64,
    n_embd=32,
    n_layer=2,
    n_head=4,
    resid_pdrop=0.0,
    embd_pdrop=0.0,
    attn_pdrop=0.0,
    bos_token_id=0,
    eos_token_id=59,
)
m = GPT2LMHeadModel(g)
opt = torch.optim.AdamW(m.parameters(), 1e-2)
for i in range(5):
    l = m(ids, labels=ids).loss
    opt.zero_grad()
    l.backward()
    torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
    opt.step()
    print(f"{l.item():.4f}")
m.eval()
print(m.generate(ids[:1, :4], max_new_tokens=8, do_sample=False, pad_token_id=59))
print(m.generate(ids[:1, :4], max_new_tokens=8, do_sample=False, num_beams=2, pad_token_id=59))
with tempfile.TemporaryDirectory() as d:
    m.save_pretrained(d)
    print(sorted(os.listdir(d)))
    n = GPT2LMHeadModel.from_pretrained(d)
    print((n(ids).logits - m(ids).logits).abs().max().item() < 1e-6)
