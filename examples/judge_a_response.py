"""Make a must-staple certificate and an OCSP response for it in memory, and ask what the response proves.

python examples/judge_a_response.py
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from certtools.authority import Authority
from certtools.forge import MUTATIONS, Scene
from mustaple import judge

at = datetime.now(UTC)
root = Authority.root(not_before=at - timedelta(days=1), not_after=at + timedelta(days=90))
ca = root.intermediate()
link, other = (ca.leaf([name]).as_chain().links[0] for name in ("site.test", "other.test"))
scene = Scene(link=link, issuer=ca, other=other, rogue=Authority.root("rogue", not_before=at, not_after=at), at=at)

print("an honest response:", judge(scene.response(), link, at).status)
for name in ("expired", "other-certificate", "forged-signature", "delegate-of-rogue", "revoked"):
    judgement = judge(MUTATIONS[name](scene), link, at)
    reasons = "; ".join(f"{reason.code.value} ({reason.clause})" for reason in judgement.reasons)
    print(f"{name}: {judgement.status}: {reasons}")
