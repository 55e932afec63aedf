//! mosquitto's clients on a cluster.

use std::process::{Command, Stdio};

use robustmq_e2e::Cluster;

#[test]
fn mosquitto_publishes_on_one_node_and_subscribes_on_another() {
    let cluster = Cluster::start(3, &[]);
    let port = |node: usize| cluster.node(node).address().port().to_string();
    let subscriber = Command::new("mosquitto_sub")
        .args(["-p", &port(2), "-q", "2", "-t", "$replay/earliest/orders/#"])
        .args(["-C", "3", "-W", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto_sub is installed");
    for node in 0..3 {
        let status = Command::new("mosquitto_pub")
            .args([
                "-p",
                &port(node),
                "-q",
                "2",
                "-t",
                &format!("orders/{node}"),
            ])
            .args(["-m", &format!("through node {node}")])
            .status();
        assert!(status.expect("mosquitto_pub is installed").success());
    }
    let output = subscriber.wait_with_output().expect("it ends");
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    let expected = ["through node 0", "through node 1", "through node 2"];
    assert_eq!(lines, expected);
}
