"""The verifier service: owns the killable maths pool, holds no credentials, answers one socket."""
