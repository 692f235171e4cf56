"""Each system's documented equations in longhand, on arrays in that system's own layout, by its own names.

Gates are sliced here by numbers, system by system. The activations are piecewise linear, so that on small
multiples of 1/8 no operation of one step rounds: every right way to compute it gives the same bits.
"""

import numpy as np

I, H, P, HEADS = 5, 6, 4, 2  # noqa: E741
D = H // HEADS


def sigma(a):
    return np.clip(0.25 * a + 0.5, 0, 1)


def phi(a):
    return np.clip(a, -1, 1)


def ours(weights, x, h, c):
    """Keras' equations, with the peepholes of Gers and Schmidhuber (2000) and Sak's projection (2014)."""
    W, U, b = weights.kernel, weights.recurrent_kernel, weights.bias
    if weights.cell == "simple_rnn":
        return phi(x @ W + h @ U + b), c
    size = W.shape[1] // (4 if weights.cell == "lstm" else 3)
    first, second, third, fourth = (slice(k * size, (k + 1) * size) for k in range(4))
    if weights.cell == "lstm":
        p_i, p_f, p_o = weights.peepholes or (0, 0, 0)
        a = x @ W + h @ U + b
        c = sigma(a[:, second] + p_f * c) * c + sigma(a[:, first] + p_i * c) * phi(a[:, third])
        h = sigma(a[:, fourth] + p_o * c) * phi(c)
        return h if weights.projection is None else h @ weights.projection, c
    if weights.cell == "gru":
        a, r = x @ W + b[0], h @ U + b[1]
        z, reset = sigma(a[:, first] + r[:, first]), sigma(a[:, second] + r[:, second])
        n = phi(a[:, third] + reset * r[:, third])
    else:
        a = x @ W + b
        z, reset = (sigma(a[:, gate] + h @ U[:, gate]) for gate in (first, second))
        n = phi(a[:, third] + (reset * h) @ U[:, third])
    return z * h + (1 - z) * n, c


# Keras


def legacy_lstm(a, x, h, c):
    """CuDNNLSTM hands each gate's numbers on as a (units, inputs) matrix, row after row."""
    W = [a["kernel"][:, k * H : (k + 1) * H].ravel().reshape(H, I) for k in range(4)]
    R = [a["recurrent_kernel"][:, k * H : (k + 1) * H].ravel().reshape(H, H) for k in range(4)]
    b = a["bias"].reshape(8, H)
    i, f, g, o = (x @ W[k].T + b[k] + h @ R[k].T + b[4 + k] for k in range(4))
    c = sigma(f) * c + sigma(i) * phi(g)
    return sigma(o) * phi(c), c


def legacy_gru(a, x, h, c):
    W = [a["kernel"][:, k * H : (k + 1) * H].ravel().reshape(H, I) for k in range(3)]
    R = [a["recurrent_kernel"][:, k * H : (k + 1) * H].ravel().reshape(H, H) for k in range(3)]
    b = a["bias"].reshape(6, H)
    z, r = (sigma(x @ W[k].T + b[k] + h @ R[k].T + b[3 + k]) for k in range(2))
    n = phi(x @ W[2].T + b[2] + r * (h @ R[2].T + b[5]))
    return (1 - z) * n + z * h, c


# TensorFlow 1


def basic_rnn(a, x, h, c):
    return phi(np.hstack([x, h]) @ a["kernel"] + a["bias"]), c


def tf1_lstm(forget_bias):
    """LSTMCell and the block cells: columns i j f o; peepholes and projection if there are."""

    def step(a, x, h, c):
        i, j, f, o = np.hsplit(np.hstack([x, h]) @ a["kernel"] + a["bias"], 4)
        w_f, w_i, w_o = (a.get(f"w_{gate}_diag", 0.0) for gate in "fio")
        c = sigma(f + forget_bias + w_f * c) * c + sigma(i + w_i * c) * phi(j)
        m = sigma(o + w_o * c) * phi(c)
        return m @ a["projection/kernel"] if "projection/kernel" in a else m, c

    return step


def tf1_gru(a, x, h, c):
    r, u = np.hsplit(sigma(np.hstack([x, h]) @ a["gates/kernel"] + a["gates/bias"]), 2)
    n = phi(np.hstack([x, r * h]) @ a["candidate/kernel"] + a["candidate/bias"])
    return u * h + (1 - u) * n, c


def cudnn_compatible_gru(a, x, h, c):
    r, u = np.hsplit(sigma(np.hstack([x, h]) @ a["gates/kernel"] + a["gates/bias"]), 2)
    n = phi(x @ a["input/kernel"] + a["input/bias"] + r * (h @ a["hidden/kernel"] + a["hidden/bias"]))
    return (1 - u) * n + u * h, c


def block_lstm(a, x, h, c):
    i, ci, f, o = np.hsplit(np.hstack([x, h]) @ a["w"] + a["b"], 4)
    cs = sigma(i + c * a["wci"]) * phi(ci) + sigma(f + 1.0 + c * a["wcf"]) * c
    return sigma(o + cs * a["wco"]) * phi(cs), cs


def block_lstm_v2(a, x, h, c):
    i, f, ci, o = np.hsplit(np.hstack([x, h]) @ a["w"] + a["b"], 4)
    cs = sigma(i + c * a["wci"]) * phi(ci) + sigma(f + c * a["wcf"]) * c
    return sigma(o + cs * a["wco"]) * phi(cs), cs


# PyTorch and cuDNN


def torch_lstm(a, x, h, c):
    both = x @ a["weight_ih"].T + a["bias_ih"] + h @ a["weight_hh"].T + a["bias_hh"]
    i, f, g, o = both[:, :H], both[:, H : 2 * H], both[:, 2 * H : 3 * H], both[:, 3 * H :]
    c = sigma(f) * c + sigma(i) * phi(g)
    m = sigma(o) * phi(c)
    return m @ a["weight_hr"].T if "weight_hr" in a else m, c


def torch_gru(a, x, h, c):
    W, U = x @ a["weight_ih"].T + a["bias_ih"], h @ a["weight_hh"].T + a["bias_hh"]
    r, z = sigma(W[:, :H] + U[:, :H]), sigma(W[:, H : 2 * H] + U[:, H : 2 * H])
    n = phi(W[:, 2 * H :] + r * U[:, 2 * H :])
    return (1 - z) * n + z * h, c


def torch_rnn(a, x, h, c):
    return phi(x @ a["weight_ih"].T + a["bias_ih"] + h @ a["weight_hh"].T + a["bias_hh"]), c


def cudnn_lstm(a, x, h, c):
    def gate(k):
        return x @ a[f"m{k}"].T + h @ a[f"m{k + 4}"].T + a[f"b{k}"] + a[f"b{k + 4}"]

    c = sigma(gate(1)) * c + sigma(gate(0)) * phi(gate(2))
    m = sigma(gate(3)) * phi(c)
    return m @ a["m8"].T if "m8" in a else m, c


def cudnn_gru(a, x, h, c):
    r = sigma(x @ a["m0"].T + h @ a["m3"].T + a["b0"] + a["b3"])
    i = sigma(x @ a["m1"].T + h @ a["m4"].T + a["b1"] + a["b4"])
    n = phi(x @ a["m2"].T + r * (h @ a["m5"].T + a["b5"]) + a["b2"])
    return (1 - i) * n + i * h, c


def cudnn_rnn(a, x, h, c):
    return phi(x @ a["m0"].T + h @ a["m1"].T + a["b0"] + a["b1"]), c


# ONNX, one direction


def onnx_lstm(a, x, h, c):
    Wi, Wo, Wf, Wc = np.vsplit(a["W"][0], 4)
    Ri, Ro, Rf, Rc = np.vsplit(a["R"][0], 4)
    Wbi, Wbo, Wbf, Wbc, Rbi, Rbo, Rbf, Rbc = np.split(a["B"][0], 8)
    Pi, Po, Pf = np.split(a["P"][0], 3)
    i = sigma(x @ Wi.T + h @ Ri.T + Pi * c + Wbi + Rbi)
    f = sigma(x @ Wf.T + h @ Rf.T + Pf * c + Wbf + Rbf)
    C = f * c + i * phi(x @ Wc.T + h @ Rc.T + Wbc + Rbc)
    o = sigma(x @ Wo.T + h @ Ro.T + Po * C + Wbo + Rbo)
    return o * phi(C), C


def onnx_gru(linear_before_reset):
    def step(a, x, h, c):
        Wz, Wr, Wh = np.vsplit(a["W"][0], 3)
        Rz, Rr, Rh = np.vsplit(a["R"][0], 3)
        Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = np.split(a["B"][0], 6)
        z = sigma(x @ Wz.T + h @ Rz.T + Wbz + Rbz)
        r = sigma(x @ Wr.T + h @ Rr.T + Wbr + Rbr)
        inside = r * (h @ Rh.T + Rbh) if linear_before_reset else (r * h) @ Rh.T + Rbh
        return (1 - z) * phi(x @ Wh.T + inside + Wbh) + z * h, c

    return step


def onnx_rnn(a, x, h, c):
    return phi(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0, :H] + a["B"][0, H:]), c


# oneDNN, one layer, one direction


def onednn_sums(a, x, h):
    return [x @ a["weights_layer"][0, 0, :, k] for k in range(a["weights_layer"].shape[3])], [
        h @ a["weights_iter"][0, 0, :, k] for k in range(a["weights_iter"].shape[3])
    ]


def onednn_lstm(a, x, h, c):
    W, U = onednn_sums(a, x, h)
    b = a["bias"][0, 0]
    p = a["weights_peephole"][0, 0] if "weights_peephole" in a else np.zeros(3)
    i = sigma(W[0] + U[0] + p[0] * c + b[0])
    f = sigma(W[1] + U[1] + p[1] * c + b[1])
    c = f * c + i * phi(W[2] + U[2] + b[2])
    m = sigma(W[3] + U[3] + p[2] * c + b[3]) * phi(c)
    return m @ a["weights_projection"][0, 0] if "weights_projection" in a else m, c


def onednn_gru(a, x, h, c):
    W, _ = onednn_sums(a, x, h)
    U, b = a["weights_iter"][0, 0], a["bias"][0, 0]
    u, r = (sigma(W[k] + h @ U[:, k] + b[k]) for k in range(2))
    return u * h + (1 - u) * phi(W[2] + (r * h) @ U[:, 2] + b[2]), c


def onednn_lbr_gru(a, x, h, c):
    W, U = onednn_sums(a, x, h)
    b = a["bias"][0, 0]
    u, r = (sigma(W[k] + U[k] + b[k]) for k in range(2))
    return u * h + (1 - u) * phi(W[2] + r * (U[2] + b[3]) + b[2]), c


def onednn_rnn(a, x, h, c):
    W, U = onednn_sums(a, x, h)
    return phi(W[0] + U[0] + a["bias"][0, 0, 0]), c


# Haste and FlashRNN


def haste_lstm(a, x, h, c):
    i, g, f, o = np.hsplit(h @ a["recurrent_kernel"] + x @ a["kernel"] + a["bias"], 4)
    c = sigma(f) * c + sigma(i) * phi(g)
    return sigma(o) * phi(c), c


def haste_gru(a, x, h, c):
    W, U = x @ a["kernel"] + a["bias"], h @ a["recurrent_kernel"] + a["recurrent_bias"]
    z, r = sigma(W[:, :H] + U[:, :H]), sigma(W[:, H : 2 * H] + U[:, H : 2 * H])
    return z * h + (1 - z) * phi(W[:, 2 * H :] + r * U[:, 2 * H :]), c


def flashrnn_sums(a, x, h):
    """Wx (B, G, N, D) of the inputs, Ry (B, G, N, D) of each head by itself."""
    Wx = np.einsum("bi,ignd->bgnd", x, a["kernel"])
    return Wx, np.einsum("bnp,gndp->bgnd", h.reshape(-1, HEADS, D), a["R"])


def flashrnn_elman(a, x, h, c):
    Wx, Ry = flashrnn_sums(a, x, h)
    return phi(Wx + Ry + a["b"])[:, 0].reshape(-1, H), c


def flashrnn_lstm(a, x, h, c):
    Wx, Ry = flashrnn_sums(a, x, h)
    raw = (Wx + Ry + a["b"]).reshape(-1, 4, H)
    c = sigma(raw[:, 1]) * c + sigma(raw[:, 0]) * phi(raw[:, 2])
    return sigma(raw[:, 3]) * phi(c), c


def flashrnn_gru(a, x, h, c):
    Wx, Ry = (sums.reshape(-1, 3, H) for sums in flashrnn_sums(a, x, h))
    b = a["b"].reshape(4, H)
    g, n = Ry[:, 0] + b[0], Wx[:, 2] + b[3]
    r, z = sigma(Wx[:, 0] + Ry[:, 1] + b[1]), sigma(Wx[:, 1] + Ry[:, 2] + b[2])
    return z * h + (1 - z) * phi(n + r * g), c
