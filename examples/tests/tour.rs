//! Runs `scopes`, the tour.
#![cfg(any(feature = "cpu", feature = "mlx"))]

use std::process::Command;

#[test]
fn the_tour_explains_missing_gradients_on_each_backend() {
    let output = Command::new(env!("CARGO_BIN_EXE_scopes")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let backends = usize::from(cfg!(feature = "cpu")) + usize::from(cfg!(feature = "mlx"));
    let reports: Vec<&str> = text.split("  why gradients are missing:\n").skip(1).collect();
    assert_eq!(reports.len(), backends, "{text}");
    for report in reports {
        let mut lines = report.lines();
        let mut line = || lines.next().expect("a report has a line for each parameter");
        assert_eq!(line(), "    3 parameters: 1 receives a gradient, 2 do not");
        let encoder = line();
        let cut = "      encoder  float32[3, 2]  no gradient: cut by no_grad at ";
        assert!(encoder.starts_with(cut) && encoder.ends_with(" (matmul -> float32[4, 2])"), "{encoder}");
        assert_eq!(line(), "      head     float32[2, 1]  receives a gradient, norm 50.912");
        assert_eq!(line(), "      decoder  float32[2, 3]  no gradient: the function does not use it");
        assert!(line().starts_with("  device before, inside and after a scope: "), "{report}");
    }
}
