"""The data plane: events in, decisions out, over HTTP; stateless but for its ledger shard."""
