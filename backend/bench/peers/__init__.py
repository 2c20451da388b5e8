"""Other products, each started and spoken to in its own way beside service and floor.

It must not know how they are measured, and nothing outside the bench needs what they need.
"""

from bench.peers.allauth_headless.target import AllauthHeadless
from bench.peers.better_auth.target import BetterAuth
from bench.peers.peer import Peer

PEERS: dict[str, Peer] = {peer.name: peer for peer in (BetterAuth(), AllauthHeadless())}
