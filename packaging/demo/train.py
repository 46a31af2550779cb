"""A small but real training task: logistic regression on the digits that ship with scikit-learn."""

import time

from clearml import Task
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

task = Task.init(project_name="clearmld demo", task_name="digits", output_uri=False)
parameters = task.connect({"epochs": 8, "learning_rate": 0.01, "alpha": 0.0001})

data, target = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(data / 16.0, target, random_state=0)
model = SGDClassifier(
    loss="log_loss",
    learning_rate="constant",
    eta0=float(parameters["learning_rate"]),
    alpha=float(parameters["alpha"]),
    random_state=0,
)
logger = task.get_logger()
for epoch in range(int(parameters["epochs"])):
    model.partial_fit(train_x, train_y, classes=list(range(10)))
    accuracy = model.score(test_x, test_y)
    loss = log_loss(test_y, model.predict_proba(test_x))
    logger.report_scalar("accuracy", "test", accuracy, epoch)
    logger.report_scalar("loss", "test", loss, epoch)
    print(f"epoch {epoch + 1}: accuracy {accuracy:.3f}, loss {loss:.3f}", flush=True)
    time.sleep(0.3)

task.upload_artifact("confusions", {"accuracy": accuracy, "loss": loss}, wait_on_upload=True)
print("done", flush=True)
