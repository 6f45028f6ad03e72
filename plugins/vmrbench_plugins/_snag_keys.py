"""Names of parameters in official checkpoints of SnAG, and in ours."""

from __future__ import annotations

# Official names of stacks of blocks, and of what is inside a block; the pattern of a block's number comes between them.
STACKS = {
    r"text_net[.]transformer": "text_encoder.blocks",
    r"vid_net[.]stem": "pyramid.stem",
    r"vid_net[.]branch": "pyramid.branch",
    r"fusion[.]layers": "fusion",
}
INSIDE = {
    r"(?:attn[.]attn|xattn[.]xattn)[.](query|key|value)[.](\w+)": r"attention.\2.conv.\3",
    r"(?:attn[.]attn|xattn[.]xattn)[.]proj[.](\w+)": r"attention.out.conv.\2",
    r"attn[.]([qkv])_conv[.]conv[.]weight": r"convs.\2.conv.weight",
    r"attn[.]([qkv])_norm[.](\w+)": r"norms.\2.\3",
    r"xattn[.]q_conv[.]conv[.]weight": r"conv.conv.weight",
    r"xattn[.]q_norm[.](\w+)": r"conv_norm.\2",
    r"ln_xattn_q[.](\w+)": r"row_norm.\2",
    r"ln_xattn_kv[.](\w+)": r"text_norm.\2",
    r"ln_attn[.](\w+)": r"norm.\2",
    r"drop_path_attn[.]scale": r"branch.scale",
    r"ffn[.]fc[.](\w+)": r"feed_forward.expand.conv.\2",
    r"ffn[.]proj[.](\w+)": r"feed_forward.contract.conv.\2",
    r"ln_ffn[.](\w+)": r"feed_forward.norm.\2",
    r"drop_path_ffn[.]scale": r"feed_forward.branch.scale",
}
OFFICIAL_KEYS = [
    *(
        (rf"{stack}[.](\d+)[.]{inside}", rf"{our}.\1.{part}")
        for stack, our in STACKS.items()
        for inside, part in INSIDE.items()
    ),
    (r"text_net[.]bkgd_token", r"text_encoder.background"),
    (r"text_net[.]embd_fc[.](conv[.]\w+)", r"text_encoder.projection.\1"),
    (r"text_net[.]attn_pool[.]attn[.](query|key|value)[.](\w+)", r"text_encoder.pool.\1.conv.\2"),
    (r"text_net[.]attn_pool[.]attn[.]proj[.](\w+)", r"text_encoder.pool.out.conv.\1"),
    (r"vid_net[.]embd_fc[.](conv[.]\w+)", r"pyramid.projection.\1"),
    (r"vid_net[.]embd_(convs|norms)[.](.+)", r"pyramid.\1.\2"),
    (r"fusion[.]ln_out[.](\w+)", r"fusion_norm.\1"),
    (r"cls_head[.]((?:convs|norms)[.].+)", r"heads.label.\1"),
    (r"reg_head[.]((?:convs|norms)[.].+)", r"heads.span.\1"),
    (r"cls_head[.]cls_head[.](conv[.]\w+)", r"heads.label.last.\1"),
    (r"reg_head[.]reg_head[.](conv[.]\w+)", r"heads.span.last.\1"),
    (r"reg_head[.]scales[.](\d+)[.]scale", r"heads.scales.\1"),
]
