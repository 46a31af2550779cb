"""A task as people write them: it logs, reports scalars and keeps an artifact."""

from clearml import Task

task = Task.init(project_name="end to end", task_name="train", output_uri=False)
for epoch in range(3):
    task.get_logger().report_scalar("loss", "train", 1.0 / (epoch + 1), epoch)
    print("epoch", epoch, flush=True)
task.upload_artifact("answer", {"is": 42}, wait_on_upload=True)
print("trained", flush=True)
