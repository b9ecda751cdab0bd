"""Mails: letters from announcements, rendered by language, sent by SMTP."""
