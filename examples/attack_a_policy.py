"""Attack a fixed policy rationally and irrationally, and tell the two apart by the adversary's rationality gap."""

import rpax


def main() -> None:
    victim = [0.8, 0.2]
    for algorithm in ("ap", "ap-rpg"):
        run = rpax.train(algorithm, "matrix/figure-2", exact=True, victim=victim)
        result = run.results[0]
        value = result.returns("victim", "adversary")[0]
        gap = result.gaps["adversary"][1]
        plays = result.policies["adversary"][1].round(3)
        print(f"{algorithm:7s} victim's return {value:+.3f}, adversary plays {plays}, gap {gap:.4f}")


if __name__ == "__main__":
    main()
