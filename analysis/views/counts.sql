-- Whether the trials of a visit count: its dataplane is proven, or it is of another tool, whose visits have no proof.
create macro counts(proof, environment) as proof = 'proven' or (proof is null and starts_with(environment, 'imported:'))
