//! Things, certificates, policies and their attachments: who may be what.
