//! The table of endpoints. An endpoint with several entries behaves differently for different versions; the newest
//! that is not newer than the requested version is taken.

use serde_json::Value;

use super::call::{ApiError, Call, Version};
use super::events::{self, log, media, scalars};
use super::tasks::{artifacts, clone, edit, many, parameters, queueing, read, remove, status};
use super::{auth, models, projects, properties, queues, service, users, workers};

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    /// The oldest version that has it.
    since: Version,
    /// Answers whoever asks.
    pub(super) open: bool,
    pub(super) run: fn(&Call<'_>) -> Result<Value, ApiError>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} since {}", self.name, self.since)
    }
}

const fn at(name: &'static str, major: u32, minor: u32, run: fn(&Call<'_>) -> Result<Value, ApiError>) -> Endpoint {
    Endpoint { name, since: Version(major, minor), open: false, run }
}

const fn open(name: &'static str, run: fn(&Call<'_>) -> Result<Value, ApiError>) -> Endpoint {
    Endpoint { name, since: Version(1, 0), open: true, run }
}

/// The endpoint of this name for this version, and the version whose behaviour that is.
pub(super) fn find(name: &str, version: Version) -> Option<(&'static Endpoint, Version)> {
    let candidates = TABLE.iter().filter(|endpoint| endpoint.name == name && endpoint.since <= version);
    candidates.max_by_key(|endpoint| endpoint.since).map(|endpoint| (endpoint, endpoint.since))
}

/// Whether there is an endpoint of this name, in whatever version.
pub(super) fn is_one(name: &str) -> bool {
    TABLE.iter().any(|endpoint| endpoint.name == name)
}

static TABLE: &[Endpoint] = &[
    at("auth.login", 1, 0, auth::login),
    at("auth.logout", 2, 2, auth::logout),
    at("auth.create_credentials", 1, 0, auth::create_credentials),
    at("auth.get_credentials", 1, 0, auth::get_credentials),
    at("auth.revoke_credentials", 1, 0, auth::revoke_credentials),
    open("debug.ping", service::ping),
    open("server.info", service::info),
    Endpoint { name: "server.info", since: Version(2, 8), open: true, run: service::info },
    Endpoint { name: "server.info", since: Version(2, 12), open: true, run: service::info },
    at("server.report_stats_option", 1, 0, service::report_stats_option),
    open("login.supported_modes", service::supported_modes),
    at("users.get_current_user", 1, 0, users::get_current),
    at("users.get_all", 1, 0, users::get_all),
    at("users.get_all_ex", 1, 0, users::get_all),
    at("users.get_by_id", 1, 0, users::get_by_id),
    at("users.get_preferences", 1, 0, users::get_preferences),
    at("users.set_preferences", 1, 0, users::set_preferences),
    at("queues.get_all", 2, 4, queues::get_all),
    at("queues.get_all_ex", 2, 4, queues::get_all_ex),
    at("queues.get_by_id", 2, 4, queues::get_by_id),
    at("queues.get_default", 2, 4, queues::get_default),
    at("queues.create", 2, 4, queues::create),
    at("queues.update", 2, 4, queues::update),
    at("queues.delete", 2, 4, queues::delete),
    at("queues.get_next_task", 1, 0, queues::get_next_task),
    at("queues.add_task", 2, 4, queues::add_task),
    at("queues.remove_task", 2, 4, queues::remove_task),
    at("queues.clear_queue", 1, 0, queues::clear_queue),
    at("queues.peek_task", 2, 15, queues::peek_task),
    at("queues.get_num_entries", 2, 15, queues::get_num_entries),
    at("queues.move_task_forward", 2, 4, queues::move_task_forward),
    at("queues.move_task_backward", 2, 4, queues::move_task_backward),
    at("queues.move_task_to_front", 2, 4, queues::move_task_to_front),
    at("queues.move_task_to_back", 2, 4, queues::move_task_to_back),
    at("workers.register", 2, 4, workers::register),
    at("workers.unregister", 2, 4, workers::unregister),
    at("workers.status_report", 2, 4, workers::status_report),
    at("workers.get_all", 2, 4, workers::get_all),
    at("workers.get_count", 1, 0, workers::get_count),
    at("workers.get_runtime_properties", 2, 10, properties::get),
    at("workers.set_runtime_properties", 2, 10, properties::set),
    at("tasks.get_by_id", 1, 0, read::get_by_id),
    at("tasks.get_by_id_ex", 1, 0, read::get_by_id),
    at("tasks.get_all", 1, 0, read::get_all),
    at("tasks.get_all_ex", 1, 0, read::get_all_ex),
    at("tasks.get_types", 1, 0, read::get_types),
    at("tasks.get_hyper_params", 1, 0, read::get_hyper_params),
    at("tasks.get_configurations", 1, 0, read::get_configurations),
    at("tasks.get_configuration_names", 1, 0, read::get_configuration_names),
    at("tasks.create", 1, 0, edit::create),
    at("tasks.validate", 1, 0, edit::validate),
    at("tasks.edit", 1, 0, edit::edit),
    at("tasks.update", 1, 0, edit::update),
    at("tasks.update_batch", 1, 0, edit::update_batch),
    at("tasks.set_requirements", 1, 0, edit::set_requirements),
    at("tasks.move", 1, 0, edit::move_tasks),
    at("tasks.clone", 1, 0, clone::clone),
    at("tasks.delete", 1, 0, remove::delete),
    at("tasks.started", 1, 0, status::started),
    at("tasks.stopped", 1, 0, status::stopped),
    at("tasks.failed", 1, 0, status::failed),
    at("tasks.completed", 2, 2, status::completed),
    at("tasks.close", 1, 0, status::close),
    at("tasks.publish", 1, 0, status::publish),
    at("tasks.stop", 1, 0, status::stop),
    at("tasks.ping", 1, 0, status::ping),
    at("tasks.enqueue", 1, 0, queueing::enqueue),
    at("tasks.dequeue", 1, 0, queueing::dequeue),
    at("tasks.reset", 1, 0, queueing::reset),
    at("tasks.stop_many", 1, 0, many::stop),
    at("tasks.enqueue_many", 1, 0, many::enqueue),
    at("tasks.dequeue_many", 1, 0, many::dequeue),
    at("tasks.reset_many", 1, 0, many::reset),
    at("tasks.delete_many", 1, 0, many::delete),
    at("tasks.publish_many", 1, 0, many::publish),
    at("tasks.archive", 1, 0, many::archive_listed),
    at("tasks.archive_many", 1, 0, many::archive),
    at("tasks.unarchive_many", 1, 0, many::unarchive),
    at("tasks.update_tags", 1, 0, many::update_tags),
    at("tasks.edit_hyper_params", 1, 0, parameters::edit_hyper_params),
    at("tasks.delete_hyper_params", 1, 0, parameters::delete_hyper_params),
    at("tasks.edit_configuration", 1, 0, parameters::edit_configuration),
    at("tasks.delete_configuration", 1, 0, parameters::delete_configuration),
    at("tasks.add_or_update_artifacts", 2, 10, artifacts::add_or_update),
    at("tasks.delete_artifacts", 2, 10, artifacts::delete),
    at("tasks.add_or_update_model", 2, 13, artifacts::add_or_update_model),
    at("tasks.delete_models", 2, 13, artifacts::delete_models),
    at("events.add", 1, 0, events::add),
    at("events.add_batch", 1, 0, events::add_batch),
    at("events.delete_for_task", 1, 0, events::delete_for_task),
    at("events.get_task_log", 1, 0, log::get_task_log_by_scroll),
    at("events.get_task_log", 1, 7, log::get_task_log_by_scroll),
    at("events.get_task_log", 2, 9, log::get_task_log),
    at("events.clear_task_log", 1, 0, log::clear_task_log),
    at("events.get_task_events", 1, 0, media::task_events),
    at("events.get_task_plots", 1, 8, media::plots),
    at("events.debug_images", 2, 7, media::debug_images),
    at("events.get_task_metrics", 1, 0, scalars::task_metrics),
    at("events.get_scalar_metrics_and_variants", 1, 0, scalars::metrics_and_variants),
    at("events.get_scalar_metric_data", 1, 0, scalars::raw),
    at("events.get_task_latest_scalar_values", 1, 0, scalars::latest_values),
    at("events.get_task_single_value_metrics", 1, 0, scalars::single_values),
    at("events.scalar_metrics_iter_histogram", 1, 0, scalars::iter_histogram),
    at("events.multi_task_scalar_metrics_iter_histogram", 1, 0, scalars::multi_task_iter_histogram),
    at("projects.create", 1, 0, projects::create),
    at("projects.update", 1, 0, projects::update),
    at("projects.get_by_id", 1, 0, projects::get_by_id),
    at("projects.get_all", 1, 0, projects::get_all),
    at("projects.get_all_ex", 1, 0, projects::get_all),
    at("projects.delete", 1, 0, projects::delete),
    at("models.create", 1, 0, models::create),
    at("models.edit", 1, 0, models::edit),
    at("models.update", 1, 0, models::edit),
    at("models.update_for_task", 1, 0, models::update_for_task),
    at("models.get_by_id", 1, 0, models::get_by_id),
    at("models.get_by_task_id", 1, 0, models::get_by_task_id),
    at("models.get_all", 1, 0, models::get_all),
    at("models.get_all_ex", 1, 0, models::get_all),
    at("models.set_ready", 1, 0, models::set_ready),
    at("models.delete", 1, 0, models::delete),
    at("models.archive_many", 1, 0, models::archive_many),
    at("models.add_or_update_metadata", 2, 13, models::add_or_update_metadata),
    at("models.delete_metadata", 2, 13, models::delete_metadata),
];
