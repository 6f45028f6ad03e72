"""Content fingerprints of public splits: facts of public files, computed from them once."""

from __future__ import annotations

# fingerprint: (name, queries, videos); see `fingerprints.content_fingerprint`. Code bases mend words, hence several
# fingerprints of one split.
KNOWN: dict[str, tuple[str, int, int]] = {
    "34079b1af8b73198": ("ActivityNet Captions train (VSLNet)", 37421, 10009),
    "04c3cdf1d9796f72": ("ActivityNet Captions train (2D-TAN)", 37421, 10009),
    "f67590bc8aa5961e": ("ActivityNet Captions val_1 = VSLNet test", 17505, 4917),
    "b3ae9918f4dcabf1": ("ActivityNet Captions val_1 = 2D-TAN val", 17505, 4917),
    "ec341e1cbc157a65": ("ActivityNet Captions val_2 = VSLNet val", 17031, 4885),
    "7ef74272535d2f80": ("ActivityNet Captions val_2 = 2D-TAN test", 17031, 4885),
    "1f62581d1db0514c": ("ActivityNet-CD val", 3521, 746),
    "212c5475c3349d95": ("ActivityNet-CD test_iid", 3443, 746),
    "cc34607d1dbadd31": ("ActivityNet-CD test_ood", 13578, 2450),
    "651ba60e3d0425fa": ("Charades-STA train (VSLNet)", 12408, 5338),
    "6563de546436bbc1": ("Charades-STA train (2D-TAN)", 12408, 5338),
    "667d00ddf0865854": ("Charades-STA test (2D-TAN, VSLNet)", 3720, 1334),
    "bd6cc57c7912db46": ("Charades-STA train (Lighthouse, windows cut to the video)", 12404, 5336),
    "f9a7c5181ce2b2d9": ("Charades-STA test (Lighthouse, windows cut to the video)", 3720, 1334),
    "7334439ad15e0d26": ("Charades-CD train", 11071, 4564),
    "32670b59a5d3f0d6": ("Charades-CD val", 859, 333),
    "553da796d25336ad": ("Charades-CD test_iid", 823, 333),
    "3a9a8ea926a76768": ("Charades-CD test_ood", 3375, 1442),
    "d12b325bd72e57af": ("DiDeMo val", 4180, 1094),
    "52b906b49167b458": ("DiDeMo test", 4021, 1037),
    "99d0e2fd3b6b5b6e": ("QVHighlights train", 7218, 7100),
    "fa3e7d5a39958d89": ("QVHighlights val", 1550, 1519),
    "0f8e652ba92ddae1": ("QVHighlights test without truth", 1542, 1529),
    "da30574a786a1816": ("QVHighlights test", 1542, 1529),
    "1e7b58baaa883d37": ("TACoS train (2D-TAN)", 9790, 75),
    "cdca83830c157369": ("TACoS val (2D-TAN)", 4436, 27),
    "4fdc4be0b9a84945": ("TACoS test (2D-TAN)", 4001, 25),
    "10eaf29fe394fdc6": ("TACoS train (Lighthouse)", 9790, 75),
    "7f9739fc2b500e68": ("TACoS val (Lighthouse)", 4436, 27),
    "7b74b303ee11cd7b": ("TACoS test (Lighthouse)", 4001, 25),
}
