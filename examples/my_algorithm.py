"""An algorithm of your own is a list of edges: here two rational adversaries against one victim."""

import rpax


def main() -> None:
    agents = {"victim": "base", "first": "base", "second": "base", "m_first": "manipulator", "m_second": "manipulator"}
    edges = [rpax.ObjectiveEdge("victim", "victim", name, 0.5, seats=(0,)) for name in ("first", "second")]
    for name in ("first", "second"):
        edges += [
            rpax.ObjectiveEdge(name, name, f"m_{name}", 1.0, seats=(1,)),
            rpax.ObjectiveEdge(f"m_{name}", "victim", name, -1.0, seats=(0,), shapes=name),
        ]
    objective = rpax.Objective(agents=agents, edges=edges, name="two-adversaries")
    run = rpax.train(objective, "matrix/figure-2", exact=True, seeds=3)
    for result in run.results:
        print(result.seed, {name: by_seat for name, by_seat in result.policies.items() if not name.startswith("m_")})


if __name__ == "__main__":
    main()
